"""Modules that are kept for later."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crunchbox.shelf import Shelf, inner_imports, source_of

SOURCE = b"""
import json
def lazy():
    import csv
    from . import near
    from ..above import thing
    try:
        import maybe
    except ImportError:
        pass
"""


def test_imports_of_functions_are_found_and_those_of_the_module_are_not() -> None:
    found = {(name, optional) for name, _, optional in inner_imports(SOURCE, "m.py", "top.pack")}
    assert found == {
        ("csv", False),
        ("top.pack", False),
        ("top.pack.near", True),
        ("top.above", False),
        ("top.above.thing", True),
        ("maybe", True),
    }


def test_a_shelved_module_runs_when_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    shelf.put("kept", compile("VALUE = 7", "/2/kept.py", "exec"), is_package=False, file="/2/kept.py")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, shelf])
    import kept  # type: ignore[import-not-found]

    monkeypatch.delitem(sys.modules, "kept")
    assert (kept.VALUE, kept.__file__) == (7, "/2/kept.py")


def test_packages_and_modules_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").touch()
    (tmp_path / "pack/part.py").touch()
    assert source_of("pack", [str(tmp_path)]) == (tmp_path / "pack/__init__.py", True)
    assert source_of("pack.part", [str(tmp_path)]) == (tmp_path / "pack/part.py", False)
    assert source_of("pack.none", [str(tmp_path)]) is None
