"""The statistics of one metric at one station."""

from collections.abc import Sequence
from typing import Any


def summarise(values: Sequence[float], percentiles: Sequence[int], iqr: float) -> dict[str, Any]:
    """Summarises at least one value. Percentiles stand beside the rest, as `p50` and the like."""
    ordered = sorted(values)
    first, third = percentile(ordered, 25), percentile(ordered, 75)
    reach = iqr * (third - first)
    return {
        "count": len(ordered),
        "min": ordered[0],
        "max": ordered[-1],
        "mean": _sum(ordered) / len(ordered),
        **{f"p{rank}": percentile(ordered, rank) for rank in percentiles},
        "outliers": [value for value in ordered if value < first - reach or value > third + reach],
    }


def percentile(ordered: Sequence[float], rank: int) -> float:
    """Between the two nearest ranks, linearly, as spreadsheets do."""
    place, rest = divmod(rank * (len(ordered) - 1), 100)
    below = ordered[place]
    above = ordered[place + (rest > 0)]
    return below + (above - below) * (rest / 100)


def _sum(values: Sequence[float]) -> float:
    """One after the other, as the other languages add: Python's own `sum` corrects for rounding, and so differs from them."""
    total = 0.0
    for value in values:
        total += value
    return total
