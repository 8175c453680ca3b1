"""The figures as a table in Markdown, and as JSON."""

import datetime
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from guest import Host
from measure import LARGE, LONGEST, SMALL, Bench, Figures, Plan, median, percentile
from peer import FLAGS, JARS, NODE_CLIENT
from server import WASMTIME, WORKERD
from tool import HERE, OWN_MOUNTS, ROOT, call, size

COLUMNS = [
    "",
    "cold, ms",
    f"{len(SMALL.event) / 1000:.1f} kB event, ms: p50 / p99",
    f"{len(LARGE.event) / 1000:.1f} kB event, ms: p50 / p99",
    "of it a processor, ms",
    "events/s",
    "memory, MiB",
    "deployed, zipped",
]

#: What stands around the table in the README.
BEGIN, END = "<!-- by host/benches/compare/run --readme -->\n", "<!-- to here -->\n"


def machine() -> str:
    """What this ran on."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    return f"{model or platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"


def versions(host: Host) -> dict[str, str]:
    """What was compared."""
    tools = json.loads((ROOT / "guest/javascript/tools.json").read_text())
    python = json.loads((ROOT / "guest/python/tools.json").read_text())
    found = {"Python": platform.python_version()}
    for name, program in [("crunchbox", str(host.crunchbox)), ("Node", "node")]:
        if shutil.which(program):
            found[name] = call([program, "--version"]).split()[-1].lstrip("v")
    if shutil.which("java"):
        found["JVM"] = call(["java", "--version"]).split("\n")[0].split()[1]
    if JARS[0].is_file():
        found["Clojure"] = JARS[0].resolve().stem.removeprefix("clojure-")
    found |= {"aws-lambda-ric": NODE_CLIENT.split("@")[-1], "wasmtime": WASMTIME, "workerd": WORKERD}
    packages = ["cherry-cljs", "squint-cljs", "componentize-qjs"]
    return found | {name: tools[name] for name in packages} | {"componentize-py": python["componentize-py"]}


class Report:
    """What a run found."""

    def __init__(self, bench: Bench, plan: Plan, host: Host) -> None:
        self._bench = bench
        self._plan = plan
        self._machine = machine()
        self._versions = versions(host)
        self._date = datetime.date.today().isoformat()

    def markdown(self, base: str) -> str:
        """The table; most figures have their ratio to those of `base` beside them."""
        rows = self._bench.figures
        against = next((row for row in rows if row.subject.name == base), rows[0])
        lines = [
            row_of(COLUMNS),
            row_of(["---", *["---:"] * (len(COLUMNS) - 2), "---"]),
            *(self._row(row, against) for row in rows),
            "",
            self._legend(against),
            *(f"Skipped: {name}: {why}" for name, why in self._bench.skipped.items()),
        ]
        return "\n".join(lines)

    def json(self) -> str:
        """All of it, with every sample."""
        return json.dumps(
            {
                "date": self._date,
                "machine": self._machine,
                "others": round(self._bench.others, 3),
                "versions": self._versions,
                "plan": vars(self._plan),
                "events": {"small": len(SMALL.event), "large": len(LARGE.event)},
                "subjects": [samples(row) for row in self._bench.figures],
                "skipped": self._bench.skipped,
            },
            indent=1,
        )

    def _row(self, row: Figures, base: Figures) -> str:
        return row_of(
            [
                row.subject.name,
                beside(median(row.cold), median(base.cold)),
                f"{beside(percentile(row.small, 50), percentile(base.small, 50))} / {number(percentile(row.small, 99))}",
                f"{beside(percentile(row.large, 50), percentile(base.large, 50))} / {number(percentile(row.large, 99))}",
                number(median(row.cpu)),
                f"{median(row.rate):,.0f}",
                beside(median(row.memory) / 2**20, median(base.memory) / 2**20),
                f"{size(row.subject.deployed)} {row.subject.remark}".strip(),
            ]
        )

    def _legend(self, base: Figures) -> str:
        mounted = "read-only, as on Lambda" if OWN_MOUNTS in os.environ else "as any folder"
        about = ", ".join(f"{name} {version}" for name, version in self._versions.items())
        return (
            f"× is to *{base.subject.name}*. {self._machine}, of which other work took {self._bench.others:.0%}; "
            f"{self._date}; {about}. Cold: from exec to the first response, files in the page cache, median of "
            f"{self._plan.cold}. Events: from the first byte handed out to the last byte of the response, "
            f"{self._plan.rounds} processes each, {self._plan.events} events of a size in each after "
            f"{self._plan.warm_up} that do not count (fewer where that takes longer than {LONGEST:.0f} s). "
            f"Events/s: of the larger, sent back to back to one process, one at a time. Memory: resident after these. Our packages are mounted {mounted}. The JVM has the flags {' '.join(FLAGS)}."
        )


def put_into_readme(table: str, plot: Path) -> None:
    """Puts a table, and the plot beside this file, where the README has the last ones."""
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    after = rest.split(END)[1]
    picture = HERE / "plot.svg"
    shown = ""
    if plot.is_file():
        shutil.copy(plot, picture)
        shown = f"![The same figures as a plot]({picture.relative_to(ROOT)})\n\n"
    readme.write_text(f"{before}{BEGIN}\n{table}\n\n{shown}{END}{after}")


def samples(row: Figures) -> dict[str, Any]:
    """Every figure of a subject."""
    kept = {name: [round(time, 4) for time in getattr(row, name)] for name in ["cold", "small", "large", "rate", "cpu"]}
    return {"name": row.subject.name, "deployed": row.subject.deployed, "memory": row.memory, **kept}


def row_of(cells: list[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """With as many digits as say something."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def beside(value: float, base: float) -> str:
    """A figure with its ratio."""
    ratio = value / base
    return f"{number(value)} ({ratio:.0f} ×)" if ratio >= 10 else f"{number(value)} ({ratio:.2g} ×)"
