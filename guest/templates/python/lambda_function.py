"""Summarises the readings of one station."""

import logging
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crunchbox import Context


class NoReadings(Exception):
    """The event holds no readings; the name is what the caller gets as `errorType`."""


def lambda_handler(event: dict[str, Any], context: "Context") -> dict[str, Any]:
    """Handles one event."""
    station = event["station"]
    readings = event.get("readings")
    if not readings:
        raise NoReadings(f"no readings from {station}")
    logging.info("summarised", extra={"count": len(readings)})
    return {
        "station": station,
        "unit": context.config["unit"],
        "count": len(readings),
        "mean": fmean(readings),
        "max": max(readings),
    }
