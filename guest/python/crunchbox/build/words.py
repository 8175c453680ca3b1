"""What goes wrong in a build, in words: what, where with the line and a mark below it, and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Lines of a trace that are shown.
TRACE_LINES = 12
BOLD, RED, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True)
class Place:
    """Where in the author's files, counted from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class Problem(Exception):
    """Why the project was not built."""

    def __init__(self, message: str, next_step: str = "", place: Place | None = None, trace: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.place = place
        self.trace = trace

    def text(self, folder: Path, *, colour: bool = False) -> str:
        """The lines to show."""
        bold, red, plain = (BOLD, RED, PLAIN) if colour else ("", "", "")
        where = f"{bold}{self.place}{plain}: " if self.place else ""
        lines = [f"{where}{self.message}", *_excerpt(folder, self.place, red, plain)]
        # One line of trace is the place, which has been said.
        if self.place is None or len(self.trace) > 1:
            lines += [f"    at {told}" for told in self.trace[:TRACE_LINES]]
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)


def _excerpt(folder: Path, place: Place | None, red: str, plain: str) -> list[str]:
    if place is None or place.line is None:
        return []
    try:
        line = (folder / place.file).read_text(encoding="utf-8", errors="replace").splitlines()[place.line - 1]
    except (OSError, IndexError):
        return []
    number = f"  {place.line:>5} | "
    excerpt = [number + line]
    if place.column:
        # A tab stays a tab, so that the mark stands below its letter.
        indent = "".join("\t" if letter == "\t" else " " for letter in line[: place.column - 1])
        excerpt.append(f"{' ' * (len(number) - 2)}| {indent}{red}^{plain}")
    return excerpt
