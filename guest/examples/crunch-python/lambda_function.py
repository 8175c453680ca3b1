"""Crunches readings of measuring stations: SNS events in, statistics per station and metric out.

Shows an event of Lambda's, configuration, log lines and a failure of one's own.
"""

import json
import logging
from collections import defaultdict
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from crunchbox import ConfigError
from stats import summarise

if TYPE_CHECKING:
    from crunchbox import Context


class NoReadings(Exception):
    """No record of the event holds a reading."""


class Reading(NamedTuple):
    """One measurement, as a station sends it."""

    station: str
    metric: str
    value: float


class Settings(NamedTuple):
    """What the configuration says."""

    percentiles: list[int]
    iqr: float


def settings(config: dict[str, Any]) -> Settings:
    """The configuration, checked."""
    percentiles = config["percentiles"]
    if not isinstance(percentiles, list):
        raise ConfigError(f"percentiles: expected a list, got {percentiles!r}")
    for rank in percentiles:
        if type(rank) is not int or not 0 <= rank <= 100:
            raise ConfigError(f"percentiles: expected 0 to 100, got {rank!r}")
    iqr = config["outliers"]["iqr"]
    if type(iqr) not in (int, float):
        raise ConfigError(f"outliers.iqr: expected a number, got {iqr!r}")
    return Settings(sorted(set(percentiles)), float(iqr))


def readings(message: str) -> list[Reading]:
    """A message holds one reading or a list of them."""
    told = json.loads(message, parse_constant=_refuse)
    return [reading(item) for item in (told if isinstance(told, list) else [told])]


def _refuse(constant: str) -> NoReturn:
    """Python's own JSON reads `NaN` and `Infinity`, which are none."""
    raise ValueError(f"{constant} is not JSON")


def reading(told: Any) -> Reading:
    """A reading, or a `ValueError` that says what it lacks."""
    if not isinstance(told, dict):
        raise ValueError(f"expected a reading, got {told!r}")
    for name, kind in (("station", str), ("metric", str), ("value", (int, float))):
        if name not in told:
            raise ValueError(f"missing field `{name}`")
        if not isinstance(told[name], kind) or isinstance(told[name], bool):
            raise ValueError(f"{name}: got {told[name]!r}")
    if not isfinite(told["value"]):
        raise ValueError("value: beyond what a number can hold")
    return Reading(told["station"], told["metric"], float(told["value"]))


def lambda_handler(event: dict[str, Any], context: "Context") -> dict[str, Any]:
    """Summarises all readings of an event, and skips what is not one."""
    wanted = settings(context.config)
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in event["Records"]:
        sns = record["Sns"]
        try:
            found = readings(sns["Message"])
        except ValueError as problem:
            logging.warning("skipped %s: %s", sns["MessageId"], problem, extra={"topic": sns["TopicArn"]})
            continue
        for station, metric, value in found:
            values[station][metric].append(value)
    if not values:
        raise NoReadings("no record held a reading")
    return {
        "stations": {
            station: {metric: summarise(metrics[metric], wanted.percentiles, wanted.iqr) for metric in sorted(metrics)}
            for station, metrics in sorted(values.items())
        }
    }
