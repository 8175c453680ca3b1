"""The same logic without us: Rust, Node and Python on AWS's own runtime clients; these two and Clojure on the JVM also as a
plain loop over the Runtime API."""

import json
import os
import shutil
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

from subject import Maker, Running, Subject
from tool import EXAMPLES, HERE, TARGET, Skipped, below, call, say, zipped

LOOP = HERE / "peers"
CLOJURE = EXAMPLES / "crunch-clojure/src"

#: Debian's packages that build AWS's client for Node.
BUILDERS = ["cmake", "autoconf", "automake", "libtool", "g++", "make", "unzip"]

#: AWS's client for Node, from npm.
NODE_CLIENT = "aws-lambda-ric@3.3.0"

#: Debian's packages, and the jars of theirs that the JVM needs.
PACKAGES = ["clojure", "default-jre-headless", "libdata-json-clojure"]
JARS = [Path("/usr/share/java") / f"{name}.jar" for name in ["clojure", "spec.alpha", "core.specs.alpha", "data.json"]]

#: What Lambda's own runtime of Java is started with: the garbage collector of one thread, and the quick compiler only.
FLAGS = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m"]


def configuration() -> dict[str, str]:
    """The example's configuration, as the peers read it."""
    config = tomllib.loads((EXAMPLES / "crunch/config.toml").read_text())
    return {"CRUNCH_CONFIG": json.dumps(config)}


def native(work: Path) -> Subject:
    """The example's own handler in Rust, on AWS's `lambda_runtime`, as people build such functions."""
    say("building Rust without a guest")
    target = TARGET / "bench/native"
    manifest = LOOP / "native/Cargo.toml"
    call(["cargo", "build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target])
    program = work / "bootstrap"
    shutil.copy(target / "release/native", program)
    return Subject(
        name="Rust, lambda_runtime",
        command=[str(program)],
        folder=work,
        deployed=zipped(work / "package.zip", [(program, program.name)]),
        remark="",
        environment=configuration(),
    )


def node_client(work: Path) -> Subject:
    """Node, the same handler, and AWS's runtime client for Node."""
    plain = node(work)
    client = work / "node_modules/aws-lambda-ric/bin/index.mjs"
    if not client.is_file():
        say(f"building {NODE_CLIENT}")
        (work / "package.json").write_text("{}")
        try:
            call(["npm", "install", "--prefix", work, "--no-audit", "--no-fund", NODE_CLIENT], work)
        except Skipped as problem:
            raise Skipped(f"{problem}; --setup installs {', '.join(BUILDERS)}") from problem
    return replace(
        plain,
        name="JavaScript, Node, AWS's client",
        command=[plain.command[0], str(client), str(LOOP / "ric/crunch.handler")],
    )


def python_client(work: Path) -> Subject:
    """Python, the same handler, and AWS's runtime client for Python."""
    interpreter = TARGET / "tools/ric/bin/python"
    if not interpreter.is_file():
        raise Skipped(f"there is no {interpreter}: run `tests/setup`")
    plain = python(work)
    path = os.pathsep.join([str(LOOP / "ric"), plain.environment["PYTHONPATH"]])
    return replace(
        plain,
        name="Python, CPython, AWS's client",
        command=[str(interpreter), "-m", "awslambdaric", "crunch.lambda_handler"],
        environment={**plain.environment, "PYTHONPATH": path},
    )


def node(work: Path) -> Subject:
    """Node, and the handler of the example in JavaScript."""
    binary = shutil.which("node")
    handler = EXAMPLES / "crunch-javascript/src/handler.js"
    if binary is None or not handler.is_file():
        raise Skipped("Node is not installed" if binary is None else f"there is no {handler}")
    # All that the handler imports of ours; the build of the guest has put it among the example's packages.
    sdk = (EXAMPLES.parent / "javascript/index.js", "node_modules/crunchbox/index.js")
    return Subject(
        name="JavaScript, Node",
        command=[os.path.realpath(binary), str(LOOP / "node.mjs")],
        folder=work,
        deployed=zipped(work / "package.zip", [(LOOP / "node.mjs", "node.mjs"), sdk, *below(handler.parent)]),
        remark="and Node",
        environment=configuration(),
    )


def python(work: Path) -> Subject:
    """Python, and the handler of the example in Python."""
    example = EXAMPLES / "crunch-python"
    if not (example / "lambda_function.py").is_file():
        raise Skipped(f"there is no {example}/lambda_function.py")
    path = os.pathsep.join([str(example), str(EXAMPLES.parent / "python")])
    return Subject(
        name="Python, CPython",
        command=[os.path.realpath(sys.executable), str(LOOP / "loop.py")],
        folder=work,
        deployed=zipped(work / "package.zip", [(LOOP / "loop.py", "loop.py"), *below(example, "*.py")]),
        remark="and Python",
        environment={**configuration(), "PYTHONPATH": path},
    )


def clojure_from_source(work: Path) -> Subject:
    """The JVM that reads Clojure's text at each start."""
    sources = [*below(LOOP / "jvm"), *below(CLOJURE, "**/*.cljc")]
    libraries = [(jar, jar.name) for jar in jars()]
    path = ":".join(map(str, [LOOP / "jvm", CLOJURE, *jars()]))
    return Subject(
        name="Clojure, JVM, from source",
        command=[java(), *FLAGS, "-cp", path, "clojure.main", "-m", "crunch.jvm"],
        folder=work,
        deployed=zipped(work / "package.zip", [*sources, *libraries]),
        remark="and a JVM",
        environment=configuration(),
    )


def clojure_compiled(work: Path) -> Subject:
    """The JVM with everything compiled ahead, in one jar."""
    say("compiling Clojure for the JVM")
    classes = work / "classes"
    shutil.rmtree(classes, ignore_errors=True)
    classes.mkdir(parents=True)
    path = ":".join(map(str, [classes, LOOP / "jvm", CLOJURE, *jars()]))
    options = "{:direct-linking true :elide-meta [:doc :file :line :added]}"
    compiling = f'(binding [*compile-path* "{classes}" *compiler-options* {options}] (compile (quote crunch.jvm)))'
    call([java(), "-cp", path, "clojure.main", "-e", compiling])
    jar = work / "crunch.jar"
    return Subject(
        name="Clojure, JVM, compiled ahead",
        command=[java(), *FLAGS, "-cp", str(jar), "crunch.jvm"],
        folder=work,
        deployed=uberjar(jar, classes),
        remark="and a JVM",
        environment=configuration(),
    )


def clojure_archived(work: Path) -> Subject:
    """That, with the JVM's archive of the classes as they are once loaded: the fastest start that Debian's JVM has."""
    compiled = clojure_compiled(work)
    archive = work / "crunch.jsa"
    archive.unlink(missing_ok=True)
    event = (EXAMPLES / "crunch/events/one-record.json").read_bytes()
    command, flags = compiled.command, [f"-XX:ArchiveClassesAtExit={archive}"]
    training = replace(compiled, command=[command[0], *flags, *command[1:]])
    with Running(training, work / "log") as running:
        running.answers([event])
        running.terminate()
    if not archive.is_file():
        raise Skipped(f"`java {flags[0]}` wrote nothing: {(work / 'log').read_text()[-300:]}")
    jar = work / "crunch.jar"
    return replace(
        compiled,
        name="Clojure, JVM, compiled ahead, class archive",
        command=[command[0], f"-XX:SharedArchiveFile={archive}", *command[1:]],
        deployed=zipped(work / "package.zip", [(jar, jar.name), (archive, archive.name)]),
    )


def uberjar(target: Path, classes: Path) -> int:
    """Puts classes and libraries into one jar, and gives its size."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as jar:
        for path, name in below(classes):
            jar.write(path, name)
        there = set(jar.namelist())
        for library in map(zipfile.ZipFile, jars()):
            # Of a source and a class of the same age Clojure compiles the source; so only classes come along.
            unwanted = ("/", ".clj", ".cljc", ".cljs")
            for name in library.namelist():
                if name not in there and not name.endswith(unwanted) and not name.startswith("META-INF/"):
                    jar.writestr(name, library.read(name))
                    there.add(name)
    return target.stat().st_size


def jars() -> list[Path]:
    """The libraries that the JVM needs; `Skipped` unless all are there."""
    missing = [jar for jar in JARS if not jar.is_file()]
    if missing:
        raise Skipped(f"there is no {missing[0]}; --setup installs {', '.join(PACKAGES)}")
    return [jar.resolve() for jar in JARS]


def java() -> str:
    """Where the JVM is."""
    found = shutil.which("java")
    if found is None:
        raise Skipped(f"there is no JVM; --setup installs {', '.join(PACKAGES)}")
    return os.path.realpath(found)


ALL = [
    Maker("Rust, lambda_runtime", native),
    Maker("Clojure, JVM, from source", clojure_from_source),
    Maker("Clojure, JVM, compiled ahead", clojure_compiled),
    Maker("Clojure, JVM, compiled ahead, class archive", clojure_archived),
    Maker("JavaScript, Node", node),
    Maker("JavaScript, Node, AWS's client", node_client),
    Maker("Python, CPython", python),
    Maker("Python, CPython, AWS's client", python_client),
]
