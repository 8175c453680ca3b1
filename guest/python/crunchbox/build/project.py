"""Finds the handler of a project: by what the request says, or by the names that Lambda's examples have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crunchbox.build.words import Problem

#: In this order, where nothing says which.
DEFAULTS = ("lambda_function.lambda_handler", "handler.handler", "app.lambda_handler")


@dataclass(frozen=True)
class Handler:
    """A module by the name that it is imported by, and the function in it."""

    module: str
    function: str


def handler(folder: Path, wanted: str | None) -> Handler:
    """The handler; its file is there, the function is looked for when the module is imported."""
    if wanted:
        return _named(folder, wanted)
    for default in DEFAULTS:
        module, _, function = default.rpartition(".")
        if (folder / f"{module}.py").is_file():
            return Handler(module, function)
    there = ", ".join(sorted(path.name for path in folder.glob("*.py"))) or "no file ends in .py"
    raise Problem(
        f"no handler: expected lambda_function.py, handler.py or app.py, found {there}",
        "write `def lambda_handler(event, context)` in lambda_function.py, or name yours in crunchbox.toml: "
        '`[build] handler = "src/crunch.lambda_handler"`',
    )


def _named(folder: Path, wanted: str) -> Handler:
    module, dot, function = wanted.rpartition(".")
    parts = module.replace("/", ".").split(".")
    if not dot or not function.isidentifier() or not all(part.isidentifier() for part in parts):
        raise Problem(
            f"`{wanted}` names no handler",
            'expected the path of the file without .py, a dot and the function: "src/crunch.lambda_handler"',
        )
    file = folder.joinpath(*parts)
    for candidate in (file.with_name(f"{file.name}.py"), file / "__init__.py"):
        if candidate.is_file():
            return Handler(".".join(parts), function)
    missing = file.with_name(f"{file.name}.py").relative_to(folder)
    raise Problem(f"there is no file {missing}, which the handler `{wanted}` should be in", "check `[build] handler`")
