"""The handler as plain Python, on the events of the example in Rust."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from crunchbox import ConfigError
from crunchbox.testing import context

from lambda_function import NoReadings, lambda_handler
from stats import summarise

CRUNCH = Path(__file__).parent.parent.parent / "crunch"
CONFIG = {"percentiles": [50, 95], "outliers": {"iqr": 1.5}}


def event(name: str) -> Any:
    return json.loads((CRUNCH / "events" / f"{name}.json").read_text(encoding="utf-8"))


def test_readings_are_grouped_by_station_and_metric() -> None:
    stations = lambda_handler(event("two-stations"), context(CRUNCH / "config.toml"))["stations"]
    assert stations["oslo"]["temp"]["count"] == 9
    assert stations["oslo"]["temp"]["outliers"] == [48.5]
    assert stations["bergen"]["rain"]["max"] == 12.4


def test_a_message_that_is_no_reading_is_skipped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        stations = lambda_handler(event("not-json"), context(CONFIG))["stations"]
    assert stations["oslo"]["temp"]["count"] == 1
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith("skipped ")


def test_an_event_without_any_reading_is_a_failure() -> None:
    with pytest.raises(NoReadings, match="no record held a reading"):
        lambda_handler({"Records": []}, context(CONFIG))


def test_a_percentile_beyond_a_hundred_is_refused_and_a_repeated_one_is_given_once() -> None:
    with pytest.raises(ConfigError, match="expected 0 to 100, got 101"):
        lambda_handler(event("one-record"), context({**CONFIG, "percentiles": [101]}))
    report = lambda_handler(event("one-record"), context({**CONFIG, "percentiles": [95, 95]}))
    assert list(report["stations"]["oslo"]["temp"]) == ["count", "min", "max", "mean", "p95", "outliers"]


def test_only_what_lies_far_outside_the_middle_half_is_an_outlier() -> None:
    assert summarise([1.0, 2.0, 2.0, 3.0, 2.0, 40.0, -30.0], [], 1.5)["outliers"] == [-30.0, 40.0]
    assert summarise([1.0, 1.0, 1.0], [], 1.5)["outliers"] == []
