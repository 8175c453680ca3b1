"""The driver, as far as it needs no componentize-py."""

from __future__ import annotations

from pathlib import Path

import pytest

from crunchbox.build import packages, project, stage
from crunchbox.build.words import Place, Problem


def test_the_first_of_the_usual_names_is_the_handler(tmp_path: Path) -> None:
    for name in ("app.py", "lambda_function.py"):
        (tmp_path / name).touch()
    assert project.handler(tmp_path, None) == project.Handler("lambda_function", "lambda_handler")


def test_a_handler_is_named_as_lambda_names_it(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/crunch.py").touch()
    assert project.handler(tmp_path, "src/crunch.main") == project.Handler("src.crunch", "main")


@pytest.mark.parametrize("wanted", ["crunch", "src/../x.main", "a b.c", ".main", "x."])
def test_what_names_no_handler_is_refused(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(Problem, match="names no handler"):
        project.handler(tmp_path, wanted)


def test_a_project_without_a_handler_is_told_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "main.py").touch()
    with pytest.raises(Problem, match=r"expected lambda_function.py, handler.py or app.py, found main.py"):
        project.handler(tmp_path, None)


def test_a_problem_shows_the_line_with_a_mark_below(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("a = 1\n\tb = c\n")
    text = Problem("no `c`", "define it", Place("x.py", 2, 6)).text(tmp_path)
    assert text.splitlines() == ["x.py:2:6: no `c`", "      2 | \tb = c", "        | \t    ^", "  next: define it"]


def test_environments_caches_and_hidden_files_stay_out_of_a_component(tmp_path: Path) -> None:
    for name in (
        "venv/pyvenv.cfg",
        "__pycache__/x.pyc",
        ".git/x",
        ".crunchbox/x",
        "node_modules/x",
        "data/x.csv",
        "x.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    staged = stage.lay_out(tmp_path, tmp_path / ".crunchbox/build", project.Handler("x", "main"))
    files = {str(path.relative_to(staged.author)) for path in staged.author.rglob("*") if path.is_file()}
    assert files == {"data/x.csv", "x.py"}
    assert "guest.export('x', 'main')" in (staged.sdk / "crunchbox_app.py").read_text()
    assert not (staged.sdk / "crunchbox/build").exists()


def test_without_dependencies_nothing_is_installed_and_nothing_else_is_found(tmp_path: Path) -> None:
    installed = packages.install(tmp_path, tmp_path / "scratch")
    assert list(installed.environment.rglob("site-packages/*")) == []
    assert installed.note() is None


def test_native_modules_are_left_out_and_their_package_is_known(tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast/_core.cpython-311-x86_64-linux-gnu.so").touch()
    (tmp_path / "Fast_Json-1.0.dist-info").mkdir()
    (tmp_path / "Fast_Json-1.0.dist-info/RECORD").write_text("fast/__init__.py,,\n")
    native = dict(packages._without_native(tmp_path))
    assert native == {"fast._core": "Fast_Json"}
    assert packages.Installed(tmp_path, native).owner("fast._core") == "Fast_Json"
    assert not (tmp_path / "fast/_core.cpython-311-x86_64-linux-gnu.so").exists()
