"""Runs componentize-py, and says in the author's words what it came to."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from crunchbox.build.packages import REPLACED, Installed
from crunchbox.build.stage import ENTRY, Staged
from crunchbox.build.words import Place, Problem

TOOL = "componentize_py"
PACKAGE = "componentize-py==0.25.1"
WORLD = "crunchbox:python/python"
#: Modules of Python's library that can't be had in WebAssembly, with what to do.
NOT_THERE = {
    "_ctypes": "there are no native libraries to call",
    "_bz2": "zlib and gzip are there",
    "_lzma": "zlib and gzip are there",
    "mmap": "read the file",
    "resource": "the host counts what is used; see `context.remaining_ms()`",
    "_curses": "there is no terminal",
    "readline": "there is no terminal",
}
#: Lines of an exception's message that are shown.
MESSAGE_LINES = 6
#: Lines of componentize-py's own that are shown when it gives no reason that we know.
LAST_LINES = 15


class ToolMissing(Exception):
    """componentize-py is not installed."""

    package = PACKAGE


def require() -> None:
    """Raises `ToolMissing` where this Python has no componentize-py."""
    if importlib.util.find_spec(TOOL) is None:
        raise ToolMissing


def run(staged: Staged, installed: Installed, output: Path) -> list[str]:
    """Makes the component, and gives the author's files that are in it."""
    wit = Path(__file__).parent.parent
    output.parent.mkdir(parents=True, exist_ok=True)
    call = [sys.executable, "-c", f"import sys; from {TOOL} import script; sys.exit(script())"]
    call += ["--quiet", "-d", str(wit / "wit"), "-d", str(wit / "world.wit"), "-w", WORLD, "componentize", ENTRY]
    call += ["-p", str(staged.author), "-p", str(staged.sdk), "-o", str(output)]
    # It takes packages from the environment that this names, and from nowhere else then.
    environment = {**os.environ, "VIRTUAL_ENV": str(installed.environment)}
    got = subprocess.run(call, env=environment, capture_output=True, text=True, errors="replace")
    report = _report(staged.report)
    if got.returncode == 0 and "inputs" in report:
        return list(report["inputs"])
    if "problem" in report:
        raise _problem(report["problem"], installed)
    lines = [line for line in (got.stdout + got.stderr).splitlines() if line.strip()]
    raise Problem("componentize-py failed", trace=lines[-LAST_LINES:])


def _report(file: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return report
    except (OSError, ValueError):
        return {}


def _problem(told: dict[str, Any], installed: Installed) -> Problem:
    place = told.get("place")
    at = Place(_in_project(place["file"]), place.get("line"), place.get("column")) if place else None
    trace = told.get("trace", ())
    if told["kind"] == "import":
        message, next_step = _missing(told["module"], installed)
        return Problem(message, next_step, at, trace)
    if told["kind"] == "module-level":
        message = f"{told['message']} at module level, which runs once, when the component is built"
        return Problem(message, told["next"], at)
    for module in told.get("modules", ()):
        if installed.owner(module) is not None:
            return Problem(*_missing(module, installed), at, trace)
    return Problem("\n".join(told["message"].splitlines()[:MESSAGE_LINES]), told["next"], at, trace)


def _in_project(file: str) -> str:
    """`/0/` is where the author's folder is mounted, `/2/` the packages'."""
    return file.removeprefix("/0/").removeprefix("/2/")


def _missing(module: str, installed: Installed) -> tuple[str, str]:
    top = module.partition(".")[0]
    owner = installed.owner(module)
    if owner is not None:
        replaced = REPLACED.get(owner, REPLACED.get(top, "look for one in pure Python"))
        return f"`{module}` is native code of the package {owner}, which can't run in WebAssembly", replaced
    if module in NOT_THERE:
        return f"Python's `{module.lstrip('_')}` is not there in WebAssembly", NOT_THERE[module]
    return (
        f"no module named `{module}`",
        f"add its package to requirements.txt, such as a line `{top}`, or correct the name",
    )
