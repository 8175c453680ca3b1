"""What holds while the component is built: modules run once then, and their state is what each event starts from.

So whatever differs from host to host must not be looked at by a module: environment variables, the network. The author's
modules are told so, with the place. Packages read the environment while they are imported, and find it empty.
"""

from __future__ import annotations

import builtins
import io
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import componentize_py_runtime

#: Where the author's modules are mounted.
AUTHOR = "/0/"
#: The parts of Python's library through which the environment is read and connections are made.
PASSING_ON = frozenset(
    ("<frozen os>", "<frozen _collections_abc>", "/python/os.py", "/python/_collections_abc.py", "/python/socket.py")
)
#: Whose frame lies between a module and the one that imports it.
IMPORTING = "<frozen importlib._bootstrap>"
#: As much as any generator of Python's is worth of surprise.
SEED_BYTES = 32


class ModuleLevel(BaseException):
    """A module of the author asks for what only an event has; no `except Exception` hides it."""

    def __init__(self, what: str, instead: str, place: dict[str, Any]) -> None:
        super().__init__(f"{what} while the component is built")
        self.what = what
        self.instead = instead
        self.place = place


class _Environment(os._Environ[str]):
    """The class of `os.environ` while modules are imported."""

    def __getitem__(self, key: str) -> str:
        refuse(f"the environment variable `{key}` is read", "read it inside the handler", _only_author=True)
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: str) -> None:
        refuse(f"the environment variable `{key}` is set", "set it inside the handler", _only_author=True)
        super().__setitem__(key, value)

    def __iter__(self) -> Iterator[str]:
        refuse("the environment is read", "read it inside the handler", _only_author=True)
        return super().__iter__()


refused: list[ModuleLevel] = []
_building = False


def building() -> bool:
    """Whether modules are being imported for the snapshot."""
    return _building


def refuse(what: str, instead: str, *, _only_author: bool = False) -> None:
    """Ends the build: this can't be done at module level.

    What a package tries by itself while it is imported, such as whether there is IPv6, is an error to it alone. With
    `_only_author`, packages may.
    """
    frame = _caller()
    if frame is None or (_only_author and not frame.f_code.co_filename.startswith(AUTHOR)):
        return
    author = _author(frame)
    if author is None:
        raise OSError(f"{what} while the component is built")
    problem = ModuleLevel(what, instead, place_of(author))
    refused.append(problem)
    raise problem


def _caller() -> FrameType | None:
    """Who asked, leaving out this file and the parts of Python's library that pass questions on."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name != __file__ and name not in PASSING_ON:
            return frame
        frame = frame.f_back
    return None


def _author(frame: FrameType | None) -> FrameType | None:
    """The author's own line on whose behalf this happens; none for what a package does while it is imported."""
    while frame is not None and not frame.f_code.co_filename.startswith(AUTHOR):
        if frame.f_code.co_filename == IMPORTING:
            return None
        frame = frame.f_back
    return frame


def place_of(frame: FrameType, line: int | None = None, instruction: int | None = None) -> dict[str, Any]:
    """File, line and column of what a frame is doing."""
    at = (frame.f_lasti if instruction is None else instruction) // 2
    column = None
    for index, (_, _, start, _) in enumerate(frame.f_code.co_positions()):
        if index == at:
            column = None if start is None else start + 1
            break
    return {"file": frame.f_code.co_filename, "line": line or frame.f_lineno, "column": column}


@contextmanager
def building_with(opened: set[str]) -> Iterator[None]:
    """While modules are imported. Files of the author's that they open are added to `opened`."""
    global _building
    original_open = io.open

    def noting(file: Any, *args: Any, **named: Any) -> Any:
        name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else ""
        if isinstance(name, str) and name.startswith(AUTHOR):
            opened.add(name)
        return original_open(file, *args, **named)

    with ExitStack() as stack:
        for owner, name, value in (
            (builtins, "open", noting),
            (io, "open", noting),
            # Not only connecting: the handle that a first socket makes would be dead in each event.
            (socket.socket, "__init__", _no_network),
            (socket, "getaddrinfo", _no_network),
            (componentize_py_runtime, "call_import", _no_host),
        ):
            stack.enter_context(_replaced(owner, name, value))
        _building = True
        os.environ.__class__ = _Environment
        try:
            yield
        finally:
            os.environ.__class__ = os._Environ
            _building = False


def _no_network(*_: Any, **__: Any) -> None:
    refuse("a connection is opened", "connect inside the handler; each event has connections of its own")


def _no_host(*_: Any) -> None:
    refuse("the host is asked", "ask it inside the handler")


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute for a while. `unittest.mock` could, but would stay in the component's memory."""
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def unseeded(found: list[random.Random]) -> Iterator[None]:
    """Finds the generators that modules make without a seed: the snapshot must not freeze what they give."""
    seed: Callable[..., None] = random.Random.seed

    def noting(self: random.Random, a: Any = None, version: int = 2) -> None:
        if a is None and not isinstance(self, random.SystemRandom):
            found.append(self)
        elif self in found:
            found.remove(self)
        seed(self, a, version)

    with _replaced(random.Random, "seed", noting):
        yield


def fresh() -> int:
    """A seed that nobody can guess."""
    return int.from_bytes(os.urandom(SEED_BYTES), "little")


def seed_in_one_call() -> None:
    """Makes `random.seed()`, which componentize-py calls for each event, ask the host for 32 bytes at once.

    By itself Python asks for 2,496 bytes, in ten calls; that alone took a tenth of a small event.
    """
    seed = random.seed

    def seed_once(a: Any = None, version: int = 2) -> None:
        seed(fresh() if a is None else a, version)

    random.seed = seed_once
