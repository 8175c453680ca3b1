"""From exceptions to failures, hostile ones among them."""

from __future__ import annotations

import json

import pytest

from crunchbox import failure


class NoReadings(Exception):
    """One of an author's."""


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as same:
        return same


def details(error: BaseException) -> dict[str, object]:
    text = failure.of(caught(error)).details
    return json.loads(text) if text else {}


def test_the_kind_is_the_name_of_the_class_and_the_message_what_it_says() -> None:
    told = failure.of(caught(NoReadings("no readings from oslo")))
    assert (told.kind, told.message, told.details) == ("NoReadings", "no readings from oslo", None)


def test_the_trace_has_the_innermost_place_first() -> None:
    def inner() -> None:
        raise NoReadings

    def outer() -> None:
        inner()

    with pytest.raises(NoReadings) as raised:
        outer()
    names = [line.partition(" ")[0] for line in failure.of(raised.value).trace]
    assert names[:2] == ["inner", "outer"]


def test_an_exception_without_a_text_of_its_own_is_told_all_the_same() -> None:
    told = failure.of(caught(Mute()))
    assert told.message == "Mute, whose text could not be had: its __str__ raised ValueError"


@pytest.mark.parametrize("name", ["Crunchbox.TimeLimit", "a b", "é", "x" * 500])
def test_a_kind_has_only_letters_that_the_host_takes(name: str) -> None:
    kind = failure.kind(type(name, (Exception,), {})())
    assert not kind.startswith("Crunchbox.")
    assert len(kind) <= failure.KIND_LETTERS
    assert all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in kind)


def test_lone_surrogates_become_question_marks() -> None:
    assert failure.of(caught(NoReadings("a\ud800"))).message == "a?"


def test_causes_notes_and_attributes_are_details() -> None:
    error = NoReadings("outer")
    error.code = 7  # type: ignore[attr-defined]
    error.add_note("a note")
    error.__cause__ = ValueError("inner")
    assert details(error) == {
        "data": {"code": 7},
        "notes": ["a note"],
        "causes": [{"kind": "ValueError", "message": "inner", "trace": []}],
    }


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert len(details(first)["causes"]) == 1  # type: ignore[arg-type]


def test_exceptions_of_a_group_are_details() -> None:
    told = details(ExceptionGroup("many", [ValueError("a"), KeyError("b")]))
    assert [inner["message"] for inner in told["exceptions"]] == ["a", "key not found: 'b'"]  # type: ignore[attr-defined, index]


def test_details_that_are_too_long_are_left_out_part_by_part() -> None:
    error = NoReadings("x")
    for number in range(40):
        setattr(error, f"a{number}", "x" * 5_000)
        error.add_note("x" * 5_000)
    error.__cause__ = ValueError("inner")
    assert list(details(error)) == ["notes", "causes"]


def test_a_message_is_cut_where_the_host_would() -> None:
    assert len(failure.of(caught(NoReadings("é" * 40_000))).message.encode()) <= failure.MESSAGE_BYTES
