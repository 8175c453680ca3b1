"""What is measured: a command that serves events, of a Runtime API or by HTTP, and how it is started and stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from http_caller import HttpCaller
from runtime_api import INIT_ERROR, PATIENCE, Answer, RuntimeApi
from tool import Skipped


@dataclass(frozen=True)
class Subject:
    """One row of the table."""

    name: str
    command: list[str]
    folder: Path
    #: The size of what is uploaded, zipped, in bytes.
    deployed: int
    #: What to say beside that, such as what else has to be there.
    remark: str
    environment: dict[str, str] = field(default_factory=dict)
    #: What it is asked by. An HTTP server is told where to listen by the word `{address}` in its command.
    caller: type[RuntimeApi] | type[HttpCaller] = RuntimeApi


@dataclass(frozen=True)
class Maker:
    """What makes a subject in a folder of its own, or raises `Skipped`."""

    name: str
    make: Callable[[Path], Subject]


class Running:
    """A started process with a caller of its own; killed at the end, whatever happens."""

    def __init__(self, subject: Subject, log: Path) -> None:
        self.subject = subject
        self._log = log
        self._api = subject.caller()

    def __enter__(self) -> "Running":
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "crunch",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "LAMBDA_TASK_ROOT": str(self.subject.folder),
            "_HANDLER": "crunch",
            **self.subject.environment,
        }
        with self._log.open("wb") as log:
            self.started = time.perf_counter()
            self._process = subprocess.Popen(
                [word.replace("{address}", self._api.address) for word in self.subject.command],
                cwd=self.subject.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._api.__exit__()

    def terminate(self) -> None:
        """Asks it to end, and waits for that."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def answers(self, events: Iterable[bytes]) -> list[Answer]:
        """Sends events back to back, and waits for all answers."""
        self._api.send(events)
        last = time.monotonic() + 2 * PATIENCE
        while (answers := self._api.answers(0.5)) is None:
            if self._process.poll() is not None:
                raise Skipped(f"the process ended with {self._process.returncode}: {self._words()}")
            if time.monotonic() > last:
                raise Skipped(f"no answer in {2 * PATIENCE} s: {self._words()}")
        if answers[-1].path == INIT_ERROR:
            raise Skipped(f"init failed: {answers[-1].body.decode(errors='replace')}")
        return answers

    def memory(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def on_cpu(self) -> float:
        """How long its threads have had a processor, in seconds."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def _words(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-6:])
