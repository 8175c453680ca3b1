"""Loads the author's handler while the component is built, and tells the driver how that went.

Runs inside of the component, by the Python that handles events: so what it says of syntax and imports holds there. What it
finds goes as JSON into a file beside the entry module, from where the driver takes it.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import inspect
import io
import json
import logging
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from crunchbox import aio, failure, http, logs, response, shelf, snapshot, tls, wasi_http, zones
from crunchbox.testing import context as testing_context

#: Where the driver looks for the report; the folder of the SDK is mounted second.
REPORT = Path("/1/report.json")
AUTHOR = Path(snapshot.AUTHOR)
#: Codecs that handlers ask for by name so often that they are loaded, not shelved.
CODECS = "utf-8 utf-8-sig utf-16 utf-16-le utf-32 latin-1 ascii cp1252 idna punycode base64 hex".split()

#: Python optimises what has run some dozen times.
REHEARSALS = 40


class _Problem(Exception):
    """What the driver tells the author."""

    def __init__(self, kind: str, message: str, next_step: str, place: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.told = {"kind": kind, "message": message, "next": next_step, "place": place}


def load(module: str, name: str, unseeded: list[random.Random]) -> Callable[[Any, Any], object]:
    """The handler; ends the build where there is none."""
    opened: set[str] = set()
    try:
        tls.install()
        # Otherwise the host would see an end of the process, and nothing of where.
        os._exit = sys.exit  # type: ignore[assignment]
        http.install(wasi_http.send)
        for codec in CODECS:
            codecs.lookup(codec)
        if (AUTHOR / "src").is_dir():
            sys.path.insert(sys.path.index(str(AUTHOR)) + 1, str(AUTHOR / "src"))
        with snapshot.building_with(opened), snapshot.unseeded(unseeded):
            handler = _handler(importlib.import_module(module), module, name)
            _import_inner()
        http.adapt_urllib()
        aio.adapt()
        zones.adapt()
        if snapshot.refused:
            raise snapshot.refused[0]
        shelved = shelf.Shelf()
        shelf.fill(shelved, _is_author)
        sys.meta_path.append(shelved)
        _report({"inputs": sorted(_inputs(opened))})
        return handler
    except BaseException as error:
        _report({"problem": _told(snapshot.refused[0] if snapshot.refused else error)})
        raise SystemExit(1) from None


def rehearse() -> None:
    """Does what each event does, often enough that Python has optimised it in the snapshot, and not in each event."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, logs.Handler)]
    record = {"unit": "mm", "readings": [1, 2.5, None, True], "more": {"a": {"b": "c"}}}
    with contextlib.redirect_stderr(io.StringIO()):
        for _ in range(REHEARSALS):
            made = testing_context(record)
            made.config["unit"]
            response.encode(json.loads(json.dumps(record)))
            logging.getLogger(__name__).info("rehearsed %s", 1, extra={"count": 1})
            logging.warning("rehearsed", extra={"name_of": "x"})
            try:
                response.encode({"a": object()})
            except response.ResponseNotJson as error:
                failure.of(error)
    for handler in handlers:
        handler.forget()


def _report(report: dict[str, Any]) -> None:
    REPORT.write_text(json.dumps(report), encoding="utf-8")


def _is_author(file: str) -> bool:
    return file.startswith(snapshot.AUTHOR)


def _inputs(opened: Iterable[str]) -> set[str]:
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())} | set(opened)
    return {file.removeprefix(snapshot.AUTHOR) for file in files if file and _is_author(file)}


def _handler(module: Any, module_name: str, name: str) -> Callable[[Any, Any], object]:
    file = str(module.__file__)
    handler: Any = getattr(module, name, None)
    if not callable(handler):
        there = [
            known for known, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module_name
        ]
        has = f"its functions: {', '.join(there)}" if there else "it has no functions"
        another = f'[build] handler = "{module_name.replace(".", "/")}.NAME"'
        raise _Problem(
            "handler",
            f"there is no function `{name}` here; {has}",
            f"write `def {name}(event, context)`, or name another one: `{another}`",
            {"file": file, "line": None, "column": None},
        )
    code = getattr(handler, "__code__", None)
    place = {"file": file, "line": code.co_firstlineno if code else None, "column": None}
    if inspect.iscoroutinefunction(handler):
        next_step = f"write `def {name}(event, context): return asyncio.run(…)`"
        raise _Problem("handler", f"`{name}` is async; nobody awaits it, as on Lambda", next_step, place)
    if inspect.isgeneratorfunction(handler):
        raise _Problem("handler", f"`{name}` has a `yield`, so it returns a generator", "return the whole answer", place)
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError as error:
        message = f"`{name}` can't be called with (event, context): {error}"
        raise _Problem("handler", message, f"write `def {name}(event, context)`", place) from None
    except ValueError:
        # Something written in C that does not tell its parameters.
        pass
    answer: Callable[[Any, Any], object] = handler
    return answer


def _import_inner() -> None:
    """Imports what the author's functions import, since there are no files when they run."""
    done: set[str] = set()
    while True:
        modules = [
            (name, str(module.__file__), hasattr(module, "__path__"))
            for name, module in list(sys.modules.items())
            if name not in done and _is_author(getattr(module, "__file__", None) or "")
        ]
        if not modules:
            return
        for name, file, is_package in modules:
            done.add(name)
            package = name if is_package else name.rpartition(".")[0]
            for wanted, line, optional in shelf.inner_imports(Path(file).read_bytes(), file, package):
                _import_wanted(wanted, optional, {"file": file, "line": line, "column": None})


def _import_wanted(wanted: str, optional: bool, place: dict[str, Any]) -> None:
    try:
        importlib.import_module(wanted)
    except Exception as error:
        if optional:
            return
        if isinstance(error, ModuleNotFoundError):
            raise _missing(error, place) from error
        raise


def _missing(error: ModuleNotFoundError, place: dict[str, Any] | None) -> _Problem:
    problem = _Problem("import", str(error), "", place)
    problem.told["module"] = error.name
    return problem


def _told(error: BaseException) -> dict[str, Any]:
    if isinstance(error, _Problem):
        return error.told
    if isinstance(error, snapshot.ModuleLevel):
        return {"kind": "module-level", "message": error.what, "next": error.instead, "place": error.place}
    if isinstance(error, SyntaxError) and error.filename:
        place = {"file": error.filename, "line": error.lineno, "column": error.offset}
        return {"kind": "syntax", "message": f"{type(error).__name__}: {error.msg}", "next": "", "place": place}
    innermost = _place(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        told = {**_missing(error, innermost).told, "trace": failure.trace(error.__traceback__)}
        return told
    return {
        "kind": "exception",
        "message": f"{failure.kind(error)}: {failure.words(error).strip()}",
        "modules": [name for name in _not_found(error) if name],
        "next": "",
        "place": innermost,
        "trace": failure.trace(error.__traceback__),
    }


def _not_found(error: BaseException | None) -> Iterator[str | None]:
    """What could not be imported, all along the chain of causes: some packages wrap that into words of their own."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, ModuleNotFoundError):
            yield error.name
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> dict[str, Any] | None:
    """The innermost place in the author's modules."""
    place = None
    traceback = error.__traceback__
    while traceback is not None:
        if _is_author(traceback.tb_frame.f_code.co_filename):
            place = snapshot.place_of(traceback.tb_frame, traceback.tb_lineno, traceback.tb_lasti)
        traceback = traceback.tb_next
    return place
