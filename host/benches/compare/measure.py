"""What is measured of each subject, in rounds, so that a busy minute of the machine meets all of them."""

import json
import os
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from subject import Running, Subject
from tool import EXAMPLES, HERE, Skipped, say

#: How many events are sent at once; the first of them waits for nothing either.
BATCH = 50

#: A slow subject is warm, and measured, after so many seconds of each round.
LONGEST = 10.0


@dataclass(frozen=True)
class Case:
    """An event and what every subject has to say to it."""

    name: str
    event: bytes
    expected: Any

    @classmethod
    def read(cls, path: Path) -> "Case":
        """The event in a file, with the file of its expectation beside it."""
        expected = json.loads(path.with_suffix(".expected.json").read_text())
        return cls(path.stem, path.read_bytes(), expected)


SMALL = Case.read(EXAMPLES / "crunch/events/one-record.json")
LARGE = Case.read(HERE / "events/ten-records.json")


def cases() -> list[Case]:
    """All events of the demonstration that need no configuration of their own, and the large one."""
    paths = sorted((EXAMPLES / "crunch/events").glob("*.expected.json"))
    events = [path.with_name(path.name.replace(".expected", "")) for path in paths]
    plain = [path for path in events if not path.with_suffix(".config.toml").exists()]
    return [*map(Case.read, plain), LARGE]


@dataclass(frozen=True)
class Plan:
    """How often."""

    cold: int
    rounds: int
    warm_up: int
    events: int


@dataclass
class Figures:
    """All samples of one subject; times in milliseconds, memory in bytes."""

    subject: Subject
    cold: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)
    large: list[float] = field(default_factory=list)
    #: Large events answered in a second, sent back to back; and for how long a processor was at work on each.
    rate: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


def percentile(samples: list[float], rank: int) -> float:
    """The sample at a rank."""
    return sorted(samples)[(len(samples) - 1) * rank // 100]


@dataclass(frozen=True)
class Processors:
    """How long the machine's processors have been at work, for whom, in seconds."""

    all: float
    idle: float
    ours: float

    @classmethod
    def now(cls) -> "Processors":
        """Up to now; processes that we started count when they have ended."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        second = os.sysconf("SC_CLK_TCK")
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        ours = sum(usage.ru_utime + usage.ru_stime for usage in used)
        return cls(sum(ticks) / second, (ticks[3] + ticks[4]) / second, ours)

    def others_since(self) -> float:
        """The part of all processors' time since then that others took."""
        now = Processors.now()
        whole = now.all - self.all
        return max(0.0, whole - (now.idle - self.idle) - (now.ours - self.ours)) / max(whole, 0.01)


class Bench:
    """Starts subjects, and keeps what it measures and what could not be."""

    def __init__(self, work: Path, plan: Plan) -> None:
        self._log = work / "log"
        self._plan = plan
        self.figures: list[Figures] = []
        self.skipped: dict[str, str] = {}
        self.others = 0.0

    def skip(self, name: str, problem: Skipped) -> None:
        """Leaves something out, and says why."""
        say(f"skipped {name}: {problem}")
        self.skipped[name] = str(problem)

    def check(self, subject: Subject) -> None:
        """Takes a subject in if it answers all events as expected, numbers by value."""
        try:
            say(f"checking {subject.name}")
            every = cases()
            with Running(subject, self._log) as running:
                answers = running.answers(case.event for case in every)
        except Skipped as problem:
            self.skip(subject.name, problem)
            return
        for case, answer in zip(every, answers, strict=True):
            got = json.loads(answer.body)
            if not answer.is_response:
                got = {"$failure": {"kind": got["errorType"], "message": got["errorMessage"]}}
            if not same(got, case.expected):
                self.skip(subject.name, Skipped(f"{case.name}: expected {case.expected}, got {got}"))
                return
        self.figures.append(Figures(subject))

    def measure(self) -> None:
        """Measures all that was taken in, and how much others did meanwhile."""
        before = Processors.now()
        self._cold()
        self._warm()
        self.others = before.others_since()

    def _cold(self) -> None:
        for number in range(self._plan.cold):
            say(f"cold starts, round {number + 1} of {self._plan.cold}")
            for figures in list(self.figures):
                with self._running(figures) as running:
                    answer = running.answers([SMALL.event])[0]
                    figures.cold.append((answer.arrived - running.started) * 1e3)

    def _warm(self) -> None:
        for number in range(self._plan.rounds):
            for figures in list(self.figures):
                say(f"warm, round {number + 1} of {self._plan.rounds}: {figures.subject.name}")
                with self._running(figures) as running:
                    figures.small += self._samples(running, SMALL).times
                    large = self._samples(running, LARGE)
                    figures.large += large.times
                    figures.rate.append(len(large.times) / large.seconds)
                    figures.cpu.append(large.cpu / len(large.times) * 1e3)
                    figures.memory.append(running.memory())

    @contextmanager
    def _running(self, figures: Figures) -> Iterator[Running]:
        try:
            with Running(figures.subject, self._log) as running:
                yield running
        except Skipped as problem:
            self.figures.remove(figures)
            self.skip(figures.subject.name, problem)

    def _samples(self, running: Running, case: Case) -> "Samples":
        repeat(running, case, self._plan.warm_up)
        return repeat(running, case, self._plan.events)


@dataclass
class Samples:
    """An event sent many times: how long each took in milliseconds; all of them, and a processor with them, in seconds."""

    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0


def repeat(running: Running, case: Case, count: int) -> Samples:
    """Sends an event so often, but not for longer than bearable."""
    samples = Samples()
    until = time.monotonic() + LONGEST
    before = running.on_cpu()
    while len(samples.times) < count and time.monotonic() < until:
        answers = running.answers([case.event] * min(BATCH, count - len(samples.times)))
        if not all(answer.is_response for answer in answers):
            raise Skipped(f"{case.name}: failed although it went well before")
        samples.times += [answer.seconds * 1e3 for answer in answers]
        samples.seconds += answers[-1].arrived - answers[0].sent
    samples.cpu = running.on_cpu() - before
    return samples


def median(samples: list[float] | list[int]) -> float:
    """The one in the middle."""
    return statistics.median(samples)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON texts say the same: numbers by value, objects in any order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
