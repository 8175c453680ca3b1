"""Modules that a handler may import while it handles an event, when there are no files any more.

Python imports inside functions, and so do packages and Python's own library. At build time the author's are imported;
the others' are compiled and put on this shelf, and run only if an event asks for them.
"""

from __future__ import annotations

import marshal
import sys
import zlib
from collections.abc import Iterable, Iterator
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

#: For `compile`: the tree alone. The module `ast` would stay in the component's memory.
ONLY_TREE = 0x400
#: Parts of Python's library that serve no handler: they draw, test, debug, install, or start processes.
LEFT_OUT = frozenset(
    "_pyrepl antigravity bdb cProfile code cmd ctypes curses dbm doctest ensurepip idlelib lib2to3 multiprocessing pdb "
    "profile pstats pty pydoc pydoc_data readline rlcompleter site ssl subprocess test this tkinter trace "
    "tracemalloc turtle turtledemo unittest venv webbrowser wsgiref xmlrpc zipapp".split()
)
#: What Python's own C code imports by name.
BY_C = "_strptime _pylong _pydecimal _compat_pickle calendar linecache locale stringprep traceback zoneinfo".split()
#: Encodings are looked up by names that no import statement has.
ENCODINGS = "encodings"


class Shelf(MetaPathFinder, InspectLoader):
    """The finder and the loader of shelved modules."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[bytes, bool, str]] = {}

    def put(self, name: str, code: CodeType, *, is_package: bool, file: str) -> None:
        """Shelves one module."""
        self._codes[name] = (zlib.compress(marshal.dumps(code)), is_package, file)

    def __contains__(self, name: str) -> bool:
        return name in self._codes

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is, if it lies here."""
        if fullname not in self._codes:
            return None
        _, is_package, file = self._codes[fullname]
        return ModuleSpec(fullname, self, origin=file, is_package=is_package)

    def is_package(self, fullname: str) -> bool:
        """Whether a module has modules below it."""
        return self._codes[fullname][1]

    def get_source(self, fullname: str) -> None:
        """None: only code is kept."""
        return None

    def get_code(self, fullname: str) -> CodeType:
        """A module's code."""
        code: CodeType = marshal.loads(zlib.decompress(self._codes[fullname][0]))
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Runs a module's code."""
        spec = module.__spec__
        if spec is not None:
            module.__file__ = spec.origin
            exec(self.get_code(spec.name), vars(module))


def source_of(name: str, path: Iterable[str]) -> tuple[Path, bool] | None:
    """The file of a module, and whether it is a package; none where there is no source."""
    parts = name.split(".")
    for root in path:
        base = Path(root, *parts)
        if (base / "__init__.py").is_file():
            return base / "__init__.py", True
        if base.with_name(base.name + ".py").is_file():
            return base.with_name(base.name + ".py"), False
    return None


def inner_imports(source: bytes, file: str, package: str, *, everywhere: bool = False) -> Iterator[tuple[str, int, bool]]:
    """What the functions of a module import: name, line, and whether a `try` is around it."""
    try:
        tree = compile(source, file, "exec", ONLY_TREE, dont_inherit=True)
    except (SyntaxError, ValueError):
        return
    pending: list[tuple[Any, bool, bool]] = [(tree, everywhere, False)]
    while pending:
        node, inside, guarded = pending.pop()
        kind = type(node).__name__
        if inside and kind == "Import":
            yield from ((alias.name, node.lineno, guarded) for alias in node.names)
        elif inside and kind == "ImportFrom":
            yield from ((name, node.lineno, sure or guarded) for name, sure in _from(node, package))
        inside = inside or kind in ("FunctionDef", "AsyncFunctionDef", "Lambda")
        guarded = guarded or kind in ("Try", "TryStar")
        for field in node._fields:
            child = getattr(node, field, None)
            for item in child if isinstance(child, list) else (child,):
                if hasattr(item, "_fields"):
                    pending.append((item, inside, guarded))


def _from(node: Any, package: str) -> Iterator[tuple[str, bool]]:
    base = node.module or ""
    if node.level:
        above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
        base = f"{above}.{base}".rstrip(".") if above else base
    if base:
        yield base, False
        # What is imported from a module may be a module itself, or not.
        yield from ((f"{base}.{alias.name}", True) for alias in node.names if alias.name != "*")


def fill(shelf: Shelf, is_author: Any) -> None:
    """Shelves what loaded modules, other than the author's, may import later."""
    pending = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py") and not is_author(file):
            package = name if hasattr(module, "__path__") else name.rpartition(".")[0]
            pending.append((Path(file), package, False))
    seen = set(sys.modules)
    for file in sorted(Path("/python", ENCODINGS).glob("*.py")):
        _shelve(shelf, f"{ENCODINGS}.{file.stem}", seen, [])
    for name in BY_C:
        _shelve(shelf, name, seen, pending)
    while pending:
        file, package, everywhere = pending.pop()
        try:
            source = file.read_bytes()
        except OSError:
            continue
        if b"import" not in source:
            continue
        for name, _, _ in inner_imports(source, str(file), package, everywhere=everywhere):
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                _shelve(shelf, ".".join(parts[:depth]), seen, pending)


def _shelve(shelf: Shelf, name: str, seen: set[str], pending: list[tuple[Path, str, bool]]) -> None:
    if name in seen or name.partition(".")[0] in LEFT_OUT:
        return
    seen.add(name)
    found = source_of(name, sys.path)
    if found is None:
        return
    file, is_package = found
    try:
        code = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return
    shelf.put(name, code, is_package=is_package, file=str(file))
    pending.append((file, name if is_package else name.rpartition(".")[0], True))
