"""Lays out what goes into a component: the author's files, and of this package what handles events."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from crunchbox.build.project import Handler

#: Folders that no handler is made of, beside those whose names begin with a dot and virtual environments.
LEFT_OUT = frozenset(("__pycache__", "node_modules"))
#: Of this package, what only the author's machine needs.
NOT_IN_COMPONENT = ("build", "wit", "tests", "__pycache__", "*.wit", "*.json")
#: The module that componentize-py is told of.
ENTRY = "crunchbox_app"

_ENTRY_TEXT = '''"""The entry of the component."""

from crunchbox import guest

Handler = guest.export({module!r}, {function!r})
'''


@dataclass(frozen=True)
class Staged:
    """Two folders of modules, in the order in which they are mounted."""

    author: Path
    sdk: Path

    @property
    def report(self) -> Path:
        """Where the component's Python tells how loading the handler went."""
        return self.sdk / "report.json"


def lay_out(folder: Path, scratch: Path, handler: Handler) -> Staged:
    """Copies afresh. Links would let a module that writes files while it is imported write into the project."""
    staged = Staged(scratch / "author", scratch / "sdk")
    for old in (staged.author, staged.sdk):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(folder, staged.author, ignore=_left_out, ignore_dangling_symlinks=True)
    here = Path(__file__).parent.parent
    shutil.copytree(here, staged.sdk / "crunchbox", ignore=shutil.ignore_patterns(*NOT_IN_COMPONENT))
    entry = _ENTRY_TEXT.format(module=handler.module, function=handler.function)
    (staged.sdk / f"{ENTRY}.py").write_text(entry, encoding="utf-8")
    return staged


def _left_out(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name.startswith(".") or name in LEFT_OUT or Path(folder, name, "pyvenv.cfg").is_file()}
