"""Runs the handler as plain Python; `crunchbox test` runs it as a component, on `events/`."""

import json
from pathlib import Path

import pytest
from crunchbox.testing import context

from lambda_function import NoReadings, lambda_handler

PROJECT = Path(__file__).parent.parent


def test_readings_are_summarised() -> None:
    event = json.loads((PROJECT / "events/oslo.json").read_text())
    expected = json.loads((PROJECT / "events/oslo.expected.json").read_text())
    assert lambda_handler(event, context(PROJECT / "config.toml")) == expected


def test_a_station_without_readings_is_a_failure() -> None:
    with pytest.raises(NoReadings, match="no readings from oslo"):
        lambda_handler({"station": "oslo"}, context({"unit": "mm"}))
