"""Measures the demonstration in every language, side by side, in one run on one machine.

    host/benches/languages/run --setup --json figures.json >table.md

Our program as it is deployed, with guests in Rust, Clojure, JavaScript and Python; beside it the same logic natively in
Rust, in Clojure on the JVM, in Node and in Python. All stand behind the same small Runtime API, and are checked to answer
the same before anything is timed. Needs what `tests/setup` makes; builds components, and nothing of our program. What
is not there is left out, and said.
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
from measure import Bench, Plan
from report import Report
from tool import OWN_MOUNTS, TARGET, Skipped, have_own_mounts, say

#: What the figures are compared with, unless --base says otherwise.
BASE = "Clojure, JVM, compiled ahead"


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="install what the peers need, by apt-get")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--crunchbox", type=Path, default=TARGET / "debug/crunchbox", help="our program, to build with")
    parser.add_argument(
        "--bootstrap",
        type=Path,
        default=TARGET / "tools/package/bootstrap.zip",
        metavar="ZIP",
        help="our program as it is deployed, from `crunchbox package`",
    )
    parser.add_argument("--work", type=Path, default=TARGET / "bench/languages", metavar="DIR", help="for what is made")
    parser.add_argument("--only", metavar="WORD", default="", help="measure only what has the word in its name")
    parser.add_argument("--base", default=BASE, metavar="NAME", help="the row that others are compared with")
    parser.add_argument("--cold", type=int, default=15, help="cold starts of each")
    parser.add_argument("--rounds", type=int, default=3, help="warm processes of each")
    parser.add_argument("--warm-up", type=int, default=2000, help="events before those that count")
    parser.add_argument("--events", type=int, default=2000, help="events that count, of each size")
    return parser.parse_args()


def install() -> None:
    """Debian's packages that the JVM and AWS's client for Node need."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", *peer.PACKAGES, *peer.BUILDERS]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)


def take_in(bench: Bench, host: guest.Host, work: Path, only: str) -> None:
    """Builds and checks everything that is to be measured."""
    makers = [each.maker(host) for each in guest.ALL] + peer.ALL
    for maker in makers:
        if only.lower() not in maker.name.lower():
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
    host = guest.Host(asked.crunchbox.resolve(), asked.bootstrap.resolve())
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    plan = Plan(asked.cold, asked.rounds, asked.warm_up, asked.events)
    bench = Bench(work, plan)
    try:
        host.check()
    except Skipped as problem:
        say(str(problem))
        return 1
    take_in(bench, host, work, asked.only)
    # What this program makes is little, and a collection in the middle of an event would count as the event's.
    gc.disable()
    bench.measure()
    if not bench.figures:
        say("nothing is left to measure")
        return 1
    report = Report(bench, plan, host)
    print(report.markdown(asked.base))
    if asked.json:
        asked.json.write_text(report.json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
