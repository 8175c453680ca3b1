"""Measures the demonstration in our program and in what people would use instead, side by side, in one run on one machine.

    host/benches/compare/run --setup

Our program as it is deployed, with guests in Rust, Clojure, JavaScript and Python; beside it the same logic natively in
Rust, in Clojure on the JVM, in Node and in Python. All stand behind the same small Runtime API. Two servers of HTTP run it
too, called by a client with the same clock. All are checked to answer the same before anything is timed.

Prints a table, and writes it with all samples and a plot into the folder of --out: `table.md`, `figures.json`, `plot.svg`;
--readme puts it into the README as well. Needs what `tests/setup` makes; builds components, and nothing of our program.
What is not there is left out, and said.
"""

import argparse
import gc
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import guest
import peer
import server
from measure import Bench, Plan
from report import Report, put_into_readme
from tool import HERE, OWN_MOUNTS, TARGET, Skipped, call, have_own_mounts, say

#: What draws, in an environment of its own.
MATPLOTLIB = "matplotlib==3.10.7"
PLOTTER = TARGET / "bench/plot/bin/python"

#: What the figures are compared with, unless --base says otherwise.
BASE = "Clojure, JVM, compiled ahead"


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="install what the peers and the plot need: apt-get, pip, cargo install")
    parser.add_argument("--out", type=Path, default=TARGET / "bench", metavar="DIR", help="for table, samples and plot")
    parser.add_argument("--readme", action="store_true", help="put table and plot into the README")
    parser.add_argument("--crunchbox", type=Path, default=TARGET / "debug/crunchbox", help="our program, to build with")
    parser.add_argument(
        "--bootstrap",
        type=Path,
        metavar="ZIP",
        help="our program as it is deployed, unless `crunchbox package` is to make it now",
    )
    parser.add_argument("--work", type=Path, default=TARGET / "bench/compare", metavar="DIR", help="for what is made")
    parser.add_argument("--only", metavar="WORD", default="", help="measure only what has the word in its name")
    parser.add_argument("--base", default=BASE, metavar="NAME", help="the row that others are compared with")
    parser.add_argument("--cold", type=int, default=15, help="cold starts of each")
    parser.add_argument("--rounds", type=int, default=3, help="warm processes of each")
    parser.add_argument("--warm-up", type=int, default=2000, help="events before those that count")
    parser.add_argument("--events", type=int, default=2000, help="events that count, of each size")
    return parser.parse_args()


def install() -> None:
    """Debian's packages that the JVM and AWS's client for Node need, and what draws."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", *peer.PACKAGES, *peer.BUILDERS]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    if not PLOTTER.is_file():
        call([sys.executable, "-m", "venv", PLOTTER.parents[1]])
        call([PLOTTER, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MATPLOTLIB])


def draw(out: Path) -> None:
    """Draws the samples in a folder, if there is what draws; a plot of an earlier run goes either way."""
    (out / "plot.svg").unlink(missing_ok=True)
    try:
        call([PLOTTER, "-B", HERE / "plot.py", out / "figures.json", out / "plot.svg"])
    except Skipped as problem:
        say(f"no plot: {problem}; --setup installs what draws it")


def take_in(bench: Bench, host: guest.Host, work: Path, asked: argparse.Namespace) -> None:
    """Builds and checks everything that is to be measured."""
    makers = [each.maker(host) for each in guest.ALL] + peer.ALL + server.makers(host, asked.setup)
    for maker in makers:
        if asked.only.lower() not in maker.name.lower():
            continue
        folder = work / re.sub(r"\W+", "-", maker.name).strip("-").lower()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            bench.check(maker.make(folder))
        except Skipped as problem:
            bench.skip(maker.name, problem)


def end(number: int, _: object) -> None:
    """Leaves by way of every `with`."""
    sys.exit(128 + number)


def main() -> int:
    """Measures, and prints."""
    asked = arguments()
    # Whoever ends this ends what it started.
    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        signal.signal(number, end)
    if asked.setup and OWN_MOUNTS not in os.environ:
        install()
    have_own_mounts()
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    host = guest.Host(asked.crunchbox.resolve(), (asked.bootstrap or work / "bootstrap.zip").resolve())
    asked.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(asked.cold, asked.rounds, asked.warm_up, asked.events)
    bench = Bench(work, plan)
    try:
        if not asked.bootstrap:
            host.package()
        host.check()
    except Skipped as problem:
        say(str(problem))
        return 1
    take_in(bench, host, work, asked)
    # What this program makes is little, and a collection in the middle of an event would count as the event's.
    gc.disable()
    bench.measure()
    if not bench.figures:
        say("nothing is left to measure")
        return 1
    report = Report(bench, plan, host)
    table = report.markdown(asked.base)
    print(table)
    (asked.out / "table.md").write_text(table + "\n")
    (asked.out / "figures.json").write_text(report.json() + "\n")
    draw(asked.out)
    if asked.readme:
        put_into_readme(table, asked.out / "plot.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
