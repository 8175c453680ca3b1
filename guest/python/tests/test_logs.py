"""Lines of `logging` on their way to the host."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from crunchbox import logs


class Written:
    def __init__(self, threshold: int = 0) -> None:
        self.lines: list[tuple[int, str, dict[str, Any]]] = []
        self.logger = logging.Logger("mine", logs.UNSET)
        self.logger.addHandler(logs.Handler(self._emit, lambda: threshold))

    def _emit(self, rank: int, message: str, fields: list[tuple[str, str]]) -> None:
        self.lines.append((rank, message, {name: json.loads(value) for name, value in fields}))


@pytest.mark.parametrize(("level", "rank"), [(1, 0), (10, 1), (20, 2), (25, 2), (30, 3), (40, 4), (50, 5), (99, 5)])
def test_levels_are_the_hosts(level: int, rank: int) -> None:
    assert logs.rank(level) == rank


def test_what_is_milder_than_the_threshold_is_not_written() -> None:
    written = Written(threshold=3)
    written.logger.info("milder")
    written.logger.warning("not")
    assert [line[1] for line in written.lines] == ["not"]


def test_extra_is_fields_and_what_json_cant_say_its_text() -> None:
    written = Written()
    written.logger.info("x", extra={"count": 3, "at": {1}})
    assert written.lines == [(2, "x", {"count": 3, "at": "{1}", "logger": "mine"})]


def test_an_exception_is_a_field() -> None:
    written = Written()
    try:
        raise ValueError("no")
    except ValueError:
        written.logger.exception("caught")
    assert written.lines[0][2]["error"]["kind"] == "ValueError"


def test_a_line_that_cant_be_formatted_is_told_of() -> None:
    written = Written()
    written.logger.info("%d", "x")
    assert written.lines[0][1].startswith("a log line could not be written: ")
