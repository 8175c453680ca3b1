"""Our program as it is deployed, with a component, its native code and its configuration beside it."""

import json
import re
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from subject import Maker, Subject
from tool import EXAMPLES, ROOT, Skipped, below, call, mount_read_only, say, size, zipped


@dataclass(frozen=True)
class Host:
    """The two builds of our program: the tool, and what `crunchbox package` made."""

    crunchbox: Path
    bootstrap: Path

    def package(self) -> None:
        """Makes the second with the first, since one that lies about may be of other sources."""
        say("building our program as it is deployed; minutes, if it changed")
        call([self.crunchbox, "package", "--out", self.bootstrap, EXAMPLES / "crunch"])

    def check(self) -> None:
        """Raises `Skipped` unless both are there."""
        for path, remedy in [
            (self.crunchbox, "build it, or name another by --crunchbox"),
            (self.bootstrap, "name another by --bootstrap"),
        ]:
            if not path.is_file():
                raise Skipped(f"expected our program at {path}: {remedy}")


@dataclass(frozen=True)
class Guest:
    """An example, and what it is called here."""

    name: str
    project: Path

    def maker(self, host: Host) -> Maker:
        """What builds and packs it."""
        return Maker(self.name, lambda work: self._pack(host, work))

    def _pack(self, host: Host, work: Path) -> Subject:
        if not self.project.is_dir():
            raise Skipped(f"there is no {self.project}")
        say(f"building {self.name}")
        component = Path(call([host.crunchbox, "build", "--release", self.project]).strip().splitlines()[-1])
        package = work / "package"
        shutil.rmtree(package, ignore_errors=True)
        package.mkdir(parents=True)
        with zipfile.ZipFile(host.bootstrap) as archive:
            archive.extractall(package)
        (package / "bootstrap").chmod(0o755)
        shutil.copy(self.project / component, package / "crunch.wasm")
        self._configure(package)
        call([host.crunchbox, "precompile", package / "crunch.wasm"])
        # Only native code is run there; the component's digest stands beside it.
        (package / "crunch.wasm").unlink()
        deployed = zipped(work / "package.zip", below(package))
        host_alone = zipped(work / "host.zip", [(package / "bootstrap", "bootstrap")])
        mount_read_only(package)
        return Subject(
            name=self.name,
            command=["./bootstrap"],
            folder=package,
            deployed=deployed,
            remark=f"({size(deployed - host_alone)} of it the function)",
        )

    def _configure(self, package: Path) -> None:
        # All examples read the configuration of the first one, which a package has beside its crunchbox.toml. How a
        # project is built is left out, so that a host of an earlier version reads the rest.
        manifest = re.sub(r"(?m)^\[build\]\n(^(?!\[).*\n?)*", "", (self.project / "crunchbox.toml").read_text())
        (package / "crunchbox.toml").write_text(manifest.replace("../crunch/config.toml", "config.toml"))
        shutil.copy(EXAMPLES / "crunch/config.toml", package)


@dataclass(frozen=True)
class Squint(Guest):
    """A copy of the example in Clojure, for the other dialect."""

    def _pack(self, host: Host, work: Path) -> Subject:
        copy = replace(self, project=work / "crunch-clojure")
        self._copy(copy.project)
        return super(Squint, copy)._pack(host, work)

    def _copy(self, copy: Path) -> None:
        if not self.project.is_dir():
            raise Skipped(f"there is no {self.project}")
        shutil.rmtree(copy / "src", ignore_errors=True)
        shutil.copytree(self.project / "src", copy / "src")
        shutil.copytree(EXAMPLES / "crunch", copy.with_name("crunch"), dirs_exist_ok=True)
        manifest = (self.project / "crunchbox.toml").read_text()
        if "[build]" in manifest:
            raise Skipped("the example has a [build] of its own now: say there which dialect this copy is")
        (copy / "crunchbox.toml").write_text(manifest + '\n[build]\ndialect = "squint"\n')
        package = json.loads((self.project / "package.json").read_text())
        versions = json.loads((ROOT / "guest/javascript/tools.json").read_text())
        package["devDependencies"].pop("cherry-cljs", None)
        package["devDependencies"]["squint-cljs"] = versions["squint-cljs"]
        (copy / "package.json").write_text(json.dumps(package, indent=2))


ALL = [
    Guest("Crunchbox, Rust", EXAMPLES / "crunch"),
    Guest("Crunchbox, Clojure (cherry)", EXAMPLES / "crunch-clojure"),
    Squint("Crunchbox, Clojure (squint)", EXAMPLES / "crunch-clojure"),
    Guest("Crunchbox, JavaScript", EXAMPLES / "crunch-javascript"),
    Guest("Crunchbox, Python", EXAMPLES / "crunch-python"),
]
