"""``python -m crunchbox.build '<json>'``: builds the project in the current folder, and answers with one line of JSON.

What people are to read goes to standard error. Exit status: 0 built, 1 not built, 3 a tool of this build is missing, which
the answer names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from crunchbox.build import componentize, packages, project, stage, words

#: The oldest Python that this driver, and a test of a handler, run on.
OLDEST = (3, 11)


def build(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Builds, or raises `words.Problem` or `componentize.ToolMissing`."""
    if sys.version_info < OLDEST:
        found = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise words.Problem(f"Python 3.11 or later is needed to build, found {found}", "make .venv with a later one")
    componentize.require()
    handler = project.handler(folder, request.get("handler"))
    scratch = folder / ".crunchbox" / "build" / "python"
    installed = packages.install(folder, scratch)
    staged = stage.lay_out(folder, scratch, handler)
    output = folder / request["output"]
    inputs = componentize.run(staged, installed, output)
    inputs += [name for name in packages.SOURCES if (folder / name).is_file()]
    return {
        "component": request["output"],
        "engine": "cpython",
        "note": installed.note(),
        "inputs": sorted(set(inputs)),
    }


def main(arguments: list[str]) -> int:
    """Builds what the request says, and returns the exit status."""
    try:
        request = json.loads(arguments[0])
    except (IndexError, ValueError):
        print('usage: python -m crunchbox.build \'{"output": "crunch.wasm", …}\', a request in JSON', file=sys.stderr)
        return 1
    try:
        print(json.dumps(build(request, Path.cwd())))
        return 0
    except componentize.ToolMissing as missing:
        print(json.dumps({"missing": [missing.package], "because": "Python is built into a component by it"}))
        return 3
    except words.Problem as problem:
        print(problem.text(Path.cwd(), colour=bool(request.get("colour"))), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
