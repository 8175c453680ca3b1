"""Words on standard error, other programs, and zips: what the other files here stand on."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HERE = Path(__file__).resolve().parent
EXAMPLES = ROOT / "guest/examples"


class Skipped(Exception):
    """Why something cannot be measured here; its text is for people."""


def say(text: str) -> None:
    """Tells how far it is."""
    print(f"compare: {text}", file=sys.stderr, flush=True)


def call(command: Sequence[str | Path], folder: Path = ROOT) -> str:
    """Runs a program to its end, and gives what it printed.

    Raises `Skipped` with its last words when it is missing or fails.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as problem:
        raise Skipped(f"`{name}` does not start: {problem.strerror}") from problem
    if done.returncode != 0:
        words = " / ".join(line.strip() for line in done.stderr.splitlines()[-6:] if line.strip())
        raise Skipped(f"`{name} {command[1]}` failed: {words}")
    return done.stdout


#: Set in a process that has mounts of its own.
OWN_MOUNTS = "CRUNCHBOX_BENCH_OWN_MOUNTS"


def have_own_mounts() -> None:
    """Begins this program anew with mounts of its own, where the system allows that, so that packages can be mounted."""
    own = ["unshare", "--map-root-user", "--mount"]
    try:
        call([*own, "true"])
    except Skipped:
        return
    if OWN_MOUNTS not in os.environ:
        os.environ[OWN_MOUNTS] = "1"
        os.execvp(own[0], [*own, sys.executable, "-B", *sys.argv])


def mount_read_only(folder: Path) -> None:
    """Lets nobody write in a folder, as Lambda mounts packages; where that is not to be had, it stays as it is."""
    if OWN_MOUNTS in os.environ:
        call(["mount", "--bind", folder, folder])
        call(["mount", "-o", "remount,bind,ro", folder, folder])


def zipped(archive: Path, members: Iterable[tuple[Path, str]]) -> int:
    """Makes a zip as it would be uploaded, and gives its size in bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for path, name in members:
            target.write(path, name)
    return archive.stat().st_size


def size(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def below(folder: Path, pattern: str = "**/*") -> list[tuple[Path, str]]:
    """The files in a folder, each with its name in there."""
    found = (path for path in sorted(folder.glob(pattern)) if path.is_file() and "__pycache__" not in path.parts)
    return [(path, path.relative_to(folder).as_posix()) for path in found]
