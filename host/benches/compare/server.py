"""Servers of HTTP that run the same logic, each event in a sandbox of its own or in one that stays: `wasmtime serve` with a
component of `wasi:http`, Cloudflare's `workerd` with a worker."""

import json
import os
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guest import Host
from http_caller import HttpCaller
from subject import Maker, Subject
from tool import EXAMPLES, HERE, ROOT, TARGET, Skipped, call, say, zipped

#: The version of wasmtime that our program has inside.
WASMTIME = "48.0.8"

#: What serving and compiling ahead take of it.
FEATURES = "serve run compile cranelift pooling-allocator parallel-compilation component-model component-model-async logging".split()

#: Cloudflare's runtime, from npm.
WORKERD = "1.20261117.1"

WORKER = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "crunch", worker = .crunch)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "crunch")],
);
const crunch :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  bindings = [(name = "CONFIG", json = %s)],
  compatibilityDate = "2026-11-01",
);
"""


def configuration() -> str:
    """The example's configuration, as JSON."""
    return json.dumps(tomllib.loads((EXAMPLES / "crunch/config.toml").read_text()))


@dataclass(frozen=True)
class Wasmtime:
    """`wasmtime serve`, with the demonstration compiled ahead, and a pool of instances as our program has."""

    host: Host
    may_install: bool

    def make(self, work: Path) -> Subject:
        """Builds the component, and compiles it."""
        wasmtime = self._program()
        say("building the component of wasi:http")
        sources = work / "component"
        shutil.copytree(HERE / "peers/component", sources, dirs_exist_ok=True)
        source = sources / "src/lib.rs"
        source.write_text(source.read_text().replace("../" * 6, f"{ROOT}/"))
        (sources / "src/config.json").write_text(configuration())
        component = self._component(sources)
        compiled = work / "component.cwasm"
        call([wasmtime, "compile", "-o", compiled, component])
        return Subject(
            name="HTTP: Rust component, wasmtime serve",
            command=[str(wasmtime), *"serve --allow-precompiled -S cli -O pooling-allocator=y --addr {address}".split(), str(compiled)],
            folder=work,
            deployed=zipped(work / "package.zip", [(compiled, compiled.name)]),
            remark=f"and wasmtime ({program_size(wasmtime, work)})",
            caller=HttpCaller,
        )

    def _component(self, sources: Path) -> Path:
        component = sources / "target/wasm32-wasip2/release/component.wasm"
        component.unlink(missing_ok=True)
        try:
            call([self.host.crunchbox, "build", "--release", sources])
        except Skipped:
            # It is built, and then refused: our program has no use for a component without a handler of its own kind.
            if not component.is_file():
                raise
        return component

    def _program(self) -> Path:
        root = TARGET / "bench/wasmtime"
        program = root / "bin/wasmtime"
        if not program.is_file():
            if not self.may_install:
                raise Skipped(f"there is no {program}; --setup builds it, which takes some ten minutes")
            say(f"building wasmtime {WASMTIME}, which takes some ten minutes")
            features = ",".join(FEATURES)
            install = ["cargo", "install", "--locked", "--root", root, "--no-default-features", "--features", features]
            call([*install, "--target-dir", root / "target", f"wasmtime-cli@{WASMTIME}"])
            shutil.rmtree(root / "target")
        return program


def workerd(work: Path) -> Subject:
    """The example's own handler in JavaScript, on V8."""
    program = work / "node_modules/workerd/bin/workerd"
    if not program.is_file():
        (work / "package.json").write_text("{}")
        call(["npm", "install", "--prefix", work, "--no-audit", "--no-fund", f"workerd@{WORKERD}"], work)
    # What npm links is a script that starts the program of this machine's kind.
    found = sorted((work / "node_modules/@cloudflare").glob("workerd-*/bin/workerd"))
    if not found:
        raise Skipped(f"npm brought no program of workerd for {os.uname().machine}")
    esbuild = TARGET / "tools/javascript/node_modules/.bin/esbuild"
    alias = f"--alias:crunchbox={EXAMPLES.parent / 'javascript/index.js'}"
    script = work / "worker.js"
    call([esbuild, HERE / "peers/worker.mjs", "--bundle", "--format=esm", "--minify", alias, f"--outfile={script}"])
    settings = work / "config.capnp"
    settings.write_text(WORKER % json.dumps(configuration()))
    return Subject(
        name="HTTP: JavaScript, workerd",
        command=[str(found[0]), "serve", str(settings), "--socket-addr", "http={address}"],
        folder=work,
        deployed=zipped(work / "package.zip", [(script, script.name), (settings, settings.name)]),
        remark=f"and workerd ({program_size(found[0], work)})",
        caller=HttpCaller,
    )


def program_size(program: Path, work: Path) -> str:
    """What a server takes, zipped, for people."""
    return f"{zipped(work / 'server.zip', [(program, program.name)]) / 2**20:.0f} MiB"


def makers(host: Host, may_install: bool) -> list[Maker]:
    """All of them."""
    named: list[tuple[str, Callable[[Path], Subject]]] = [
        ("HTTP: Rust component, wasmtime serve", Wasmtime(host, may_install).make),
        ("HTTP: JavaScript, workerd", workerd),
    ]
    return [Maker(name, make) for name, make in named]
