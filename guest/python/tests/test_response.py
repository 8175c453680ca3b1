"""What is JSON, and the words for what is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from crunchbox.response import ResponseNotJson, encode


class Broken(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items")


def numbers() -> Iterator[int]:
    yield 1


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"stations": [1, 2, {"at": datetime(2024, 1, 1)}]},
            "$.stations[2].at: expected a JSON value, got a value of type datetime",
        ),
        ({"a b": float("nan")}, "$['a b']: nan is no number in JSON"),
        ([Decimal("NaN")], "$[0]: NaN is no number in JSON"),
        ({1, 2}, "$: expected a JSON value, got a value of type set; return sorted(…) or list(…)"),
        (b"x", "$: expected a JSON value, got a value of type bytes"),
        (numbers(), "$: expected a JSON value, got a value of type generator; return list(…)"),
        ({(1, 2): 3}, "$: a key is a value of type tuple; expected str"),
        (CIRCLE, "$[0]: this list contains itself"),
        (Broken(a=1), "the response could not be read: RuntimeError"),
    ],
)
def test_what_json_cant_say_is_refused_with_its_path(value: object, words: str) -> None:
    with pytest.raises(ResponseNotJson) as raised:
        encode(value)
    assert str(raised.value).startswith(words)


def test_a_decimal_is_a_number_as_on_lambda() -> None:
    assert encode({"price": Decimal("1.10")}) == '{"price":1.1}'


def test_lone_surrogates_are_escaped() -> None:
    assert encode({"é": "\ud800"}) == json.dumps({"é": "\ud800"}, separators=(",", ":"))
