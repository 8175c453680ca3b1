"""Draws the figures of a run: `plot.py FIGURES.json PLOT.svg`. Needs matplotlib, which `run --setup` installs."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
# The same figures make the same file, with letters that stay letters.
matplotlib.rcParams.update({"svg.hashsalt": "crunchbox", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
from matplotlib import pyplot  # noqa: E402

OURS, OTHERS, LATE = "#c2571a", "#7d8b99", "#30363d"


def percentile(samples: list[float], rank: int) -> float:
    """The sample at a rank."""
    return sorted(samples)[(len(samples) - 1) * rank // 100]


def color(row: dict[str, Any]) -> str:
    """Ours stand out."""
    return OURS if row["name"].startswith("Crunchbox") else OTHERS


def main() -> None:
    """Two panels that share their rows: starts, and events in a process that is warm."""
    figures, target = (Path(path) for path in sys.argv[1:])
    run = json.loads(figures.read_text())
    rows = run["subjects"][::-1]
    names = [row["name"] for row in rows]
    colors = [color(row) for row in rows]
    plot, (cold, warm) = pyplot.subplots(1, 2, sharey=True, figsize=(10, 0.34 * len(rows) + 1.2), layout="constrained")
    for panel, key, title in [
        (cold, "cold", "process start to first response, ms"),
        (warm, "large", f"{run['events']['large'] / 1000:.1f} kB event, warm, ms: p50, and p99 as a line"),
    ]:
        middles = [percentile(row[key], 50) for row in rows]
        panel.barh(names, middles, color=colors, height=0.7)
        panel.set_xscale("log")
        panel.set_xlim(min(middles) / 2, max(percentile(row[key], 99) for row in rows) * 3)
        panel.set_title(title, loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        for place, (row, middle) in enumerate(zip(rows, middles, strict=True)):
            last = percentile(row[key], 99) if key == "large" else middle
            panel.plot([middle, last], [place, place], color=LATE, linewidth=1)
            shown = f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}"
            panel.annotate(f" {shown}", (max(last, middle), place), va="center")
    plot.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
