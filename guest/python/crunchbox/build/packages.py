"""Installs what the project depends on at run time, apart from the tools that build and test it.

From wheels of pure Python where there are such. Otherwise pip takes what it finds for this machine, and native modules are
taken out again: many packages have both, and run without. What does not is told by its name when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crunchbox.build.words import Problem

#: Where dependencies are written down.
SOURCES = ("requirements.txt", "pyproject.toml")
#: The Python that componentize-py brings.
PYTHON = "3.14"
#: Changes when what `install` leaves behind changes.
LAYOUT = "1"
NATIVE = (".so", ".pyd", ".dylib")
#: What an import of a native module is told.
REPLACED = {
    "psycopg2": "pg8000 is PostgreSQL's protocol in pure Python",
    "psycopg": "pg8000 is PostgreSQL's protocol in pure Python",
    "asyncpg": "pg8000 is PostgreSQL's protocol in pure Python",
    "pydantic_core": "pydantic before 2 (`pydantic<2`), dataclasses or attrs are pure Python",
    "orjson": "`json` of Python is written in C and there",
    "cryptography": "`hashlib`, `hmac` and `secrets` are there",
}


@dataclass(frozen=True)
class Installed:
    """The packages of a project."""

    #: A folder laid out as a virtual environment, which is what componentize-py looks for.
    environment: Path
    #: The package that brought it, by the name of each native module that was left out.
    native: dict[str, str] = field(default_factory=dict)
    #: What was taken in place of a later version that has no wheel of pure Python.
    older: list[str] = field(default_factory=list)

    def note(self) -> str | None:
        """For people: what is not as pip would have it."""
        notes = list(self.older)
        if self.native:
            notes.append(f"native modules of {', '.join(sorted(set(self.native.values())))} left out")
        return "; ".join(notes) or None

    def owner(self, module: str) -> str | None:
        """The package whose native module this was."""
        for name, package in self.native.items():
            if module in (name, name.rpartition(".")[2]) or name.startswith(f"{module}."):
                return package
        return None


def install(folder: Path, scratch: Path) -> Installed:
    """Installs, unless the same is installed already."""
    wanted = [*_requirements(folder), *_project_dependencies(folder)]
    key = _key(folder, wanted)
    environment = scratch / "packages"
    site = environment / "lib" / f"python{PYTHON}" / "site-packages"
    known = environment / "installed.json"
    try:
        told = json.loads(known.read_text(encoding="utf-8"))
        if told["key"] == key:
            return Installed(environment, told["native"], told["older"])
    except (OSError, ValueError, KeyError):
        # Never installed, or an installation was interrupted.
        pass
    shutil.rmtree(environment, ignore_errors=True)
    site.mkdir(parents=True)
    native: dict[str, str] = {}
    older: list[str] = []
    if wanted:
        older = _pip(folder, wanted, site)
        native = dict(_without_native(site))
        shutil.rmtree(site / "bin", ignore_errors=True)
    known.write_text(json.dumps({"key": key, "native": native, "older": older}), encoding="utf-8")
    return Installed(environment, native, older)


def _requirements(folder: Path) -> list[str]:
    return ["-r", "requirements.txt"] if (folder / "requirements.txt").is_file() else []


def _project_dependencies(folder: Path) -> list[str]:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return []
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"pyproject.toml is no TOML: {error}") from error
    dependencies: Any = project.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(item, str) for item in dependencies):
        raise Problem("pyproject.toml: `project.dependencies` is not a list of strings")
    return dependencies


def _key(folder: Path, wanted: list[str]) -> str:
    digest = hashlib.sha256(f"{LAYOUT} {PYTHON} {sys.version_info[:2]} {wanted}".encode())
    for file in sorted(folder.glob("*requirements*.txt")) + sorted(folder.glob("constraints*.txt")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _pip(folder: Path, wanted: list[str], site: Path) -> list[str]:
    """Installs into `site`, and says which versions are older than what pip would choose for this machine."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    common = [*install, "--no-compile", "--target", str(site)]
    pure = ["--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any", f"--python-version={PYTHON}"]
    if subprocess.run([*common, *pure, *wanted], cwd=folder, capture_output=True).returncode == 0:
        latest = subprocess.run(
            [*install, "--dry-run", "--ignore-installed", "--report=-", *wanted], cwd=folder, capture_output=True
        )
        return list(_older(site, latest.stdout))
    shutil.rmtree(site)
    site.mkdir()
    got = subprocess.run([*common, *wanted], cwd=folder, capture_output=True, text=True)
    if got.returncode != 0:
        said = [line for line in got.stderr.splitlines() if line.startswith("ERROR:")] or got.stderr.splitlines()[-3:]
        raise Problem(
            "the packages of requirements.txt and pyproject.toml can't be installed",
            "try `.venv/bin/python -m pip install -r requirements.txt` by hand",
            trace=[line.removeprefix("ERROR: ") for line in said],
        )
    return []


def _older(site: Path, report: bytes) -> Iterator[str]:
    known = (path.name.removesuffix(".dist-info").rpartition("-") for path in site.glob("*.dist-info"))
    installed = {_plain(name): version for name, _, version in known}
    try:
        chosen = [item["metadata"] for item in json.loads(report)["install"]]
    except (ValueError, LookupError):
        return
    for item in chosen:
        found = installed.get(_plain(item["name"]))
        if found is not None and found != item["version"]:
            yield f"{item['name']} {found} in place of {item['version']}, which needs native code"


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _without_native(site: Path) -> Iterator[tuple[str, str]]:
    """Removes native modules, and gives the name of each with its package."""
    owners = dict(_owners(site))
    for path in sorted(site.rglob("*")):
        if path.suffix in NATIVE and path.is_file():
            inside = path.relative_to(site)
            module = ".".join((*inside.parent.parts, path.name.partition(".")[0]))
            path.unlink()
            if not inside.parts[0].endswith(".libs"):
                yield module, owners.get(inside.parts[0], inside.parts[0].partition(".")[0])


def _owners(site: Path) -> Iterator[tuple[str, str]]:
    """The name of the package by each file or folder that it has brought."""
    for record in site.glob("*.dist-info/RECORD"):
        package = record.parent.name.removesuffix(".dist-info").rpartition("-")[0]
        for line in record.read_text(encoding="utf-8").splitlines():
            yield line.partition("/")[0].partition(",")[0], package
