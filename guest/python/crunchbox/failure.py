"""From an exception to a failure: kind, message, trace and details that a host takes whatever was raised.

Knows no bindings. Whatever an exception does when it is asked for its text, this does not raise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

#: What a host keeps of a trace.
TRACE_LINES = 64
#: Bytes of one message that a host keeps.
MESSAGE_BYTES = 32_768
#: Bytes of details that a host takes.
DETAILS_BYTES = 65_536
#: As many causes are told, as many exceptions of a group, as many notes.
CAUSES = 8
#: Letters of one text in the details.
DETAIL_LETTERS = 2_000
#: As long may a kind be.
KIND_LETTERS = 128
#: The letters that a kind may have, beside letters and digits.
KIND_MARKS = "._-"
#: Where the modules of the running component come from, as componentize-py mounts them: the author's, ours, the
#: packages' and Python's own.
ROOTS = ("/0/", "/1/", "/2/", "/python/", "/bundled/", "/world/")
#: Frames of ours say nothing to an author.
OWN = ("crunchbox/", "crunchbox_app.py", "componentize_py", "wit_world/", "<frozen importlib", "importlib/")


@dataclass
class Failure:
    """What the host is told."""

    kind: str
    message: str
    trace: list[str] = field(default_factory=list)
    details: str | None = None


def of(error: BaseException) -> Failure:
    """The failure that an exception is."""
    details = _details(error)
    return Failure(
        kind=kind(error),
        message=cut(words(error), MESSAGE_BYTES),
        trace=trace(error.__traceback__),
        details=_fitting(details) if details else None,
    )


def kind(error: BaseException) -> str:
    """The name of the class, in the letters that a kind may have."""
    name = str(type(error).__name__)
    ascii_name = "".join(letter if _fits(letter) else "_" for letter in name)[:KIND_LETTERS]
    return ascii_name if not ascii_name.startswith("Crunchbox.") else ascii_name.replace(".", "_", 1)


def _fits(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in KIND_MARKS)


def words(error: BaseException) -> str:
    """What an exception says, in letters that are sound UTF-8."""
    try:
        if type(error) is KeyError and len(error.args) == 1:
            return sound(f"key not found: {error.args[0]!r}")
        if isinstance(error, SystemExit):
            return sound(f"the handler called sys.exit({'' if error.code is None else repr(error.code)})")
        if isinstance(error, MemoryError) and not error.args:
            return "out of memory; `memory` under `[limits]` of crunchbox.toml says how much there is"
        return sound(str(error) or f"{type(error).__name__} without a message")
    except BaseException as other:
        return f"{type(error).__name__}, whose text could not be had: its __str__ raised {type(other).__name__}"


def sound(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 can hold."""
    if text.isascii():
        return str(text)
    return text.encode("utf-8", "replace").decode()


def cut(text: str, most: int) -> str:
    """The text, in at most so many bytes."""
    if len(text) * 4 <= most:
        return text
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode(errors="ignore") + "…"


def place(file: str) -> str | None:
    """A file's name as its author knows it; none for a file of ours."""
    name = file
    for root in ROOTS:
        if file.startswith(root):
            name = file[len(root) :]
            break
    return None if name.startswith(OWN) else name


def trace(traceback: TracebackType | None) -> list[str]:
    """Where it happened, innermost first: ``inner (lambda_function.py:12)``. What repeats is told once."""
    lines: list[str] = []
    repeated = 0
    frames: list[tuple[FrameType, int]] = []
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    for frame, line in reversed(frames):
        file = place(frame.f_code.co_filename)
        if file is None:
            continue
        told = cut(sound(f"{frame.f_code.co_name} ({file}:{line})"), 1_000)
        if lines and lines[-1] == told:
            repeated += 1
            continue
        _note_repeats(lines, repeated)
        repeated = 0
        lines.append(told)
    _note_repeats(lines, repeated)
    if len(lines) <= TRACE_LINES:
        return lines
    # Both ends matter: where it broke, and how the handler got there.
    ends = TRACE_LINES // 2
    left_out = len(lines) - 2 * ends + 1
    return [*lines[:ends], f"… {left_out} more", *lines[-(ends - 1) :]]


def _note_repeats(lines: list[str], repeated: int) -> None:
    if repeated:
        lines.append(f"… {repeated} times more")


def _details(error: BaseException) -> dict[str, Any]:
    details: dict[str, Any] = {}
    data = {name: _plain(value) for name, value in list(_attributes(error).items())[:32] if not name.startswith("_")}
    if data:
        details["data"] = data
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list) and notes:
        details["notes"] = [_plain(note) for note in notes[:CAUSES]]
    if isinstance(error, BaseExceptionGroup):
        details["exceptions"] = [_short(inner) for inner in error.exceptions[:CAUSES]]
    causes = _causes(error)
    if causes:
        details["causes"] = [_short(cause) for cause in causes]
    return details


def _attributes(error: BaseException) -> dict[str, Any]:
    attributes = getattr(error, "__dict__", None)
    return attributes if isinstance(attributes, dict) else {}


def _causes(error: BaseException) -> list[BaseException]:
    """The chain of `raise … from`, or of what was being handled, as Python prints it."""
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(causes) < CAUSES:
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if current is None or current is error or current in causes:
            break
        causes.append(current)
    return causes


def _short(error: BaseException) -> dict[str, Any]:
    return {"kind": kind(error), "message": cut(words(error), DETAIL_LETTERS), "trace": trace(error.__traceback__)[:16]}


def _plain(value: object) -> Any:
    """The value where JSON can say it in few letters, else its text."""
    try:
        text = json.dumps(value, allow_nan=False)
        return json.loads(text) if len(text) <= DETAIL_LETTERS else cut(text, DETAIL_LETTERS)
    except Exception:
        pass
    try:
        return cut(sound(repr(value)), DETAIL_LETTERS)
    except Exception as other:
        return f"{type(value).__name__}, whose text could not be had: {type(other).__name__}"


def _fitting(details: dict[str, Any]) -> str | None:
    """The details as JSON; where they are too long, without the attributes, or none."""
    for left_out in ((), ("data",), ("data", "exceptions"), ("data", "exceptions", "causes")):
        text = json.dumps({name: value for name, value in details.items() if name not in left_out})
        if len(text) <= DETAILS_BYTES:
            return text
    return None
