"""Wheels made by hand, so that nothing has to be built or fetched: an engine `speck`, and the library it needs."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

ENGINE = """
import importlib.util

from rbee.contract import Availability, EngineStatus, LoadedModel, TokenEngine, TokenEvent, hookimpl
from rbee.testing.tables import TableTokenizer

RBEE_CONTRACT = ">=0.3,<0.4"


class Speck(TokenEngine):
    name = "speck"
    formats = frozenset({"dust"})
    backends = frozenset({"cpu"})
    capabilities = frozenset({"chat"})
    request = None

    @classmethod
    def availability(cls):
        if importlib.util.find_spec("speck_lib") is None:
            return Availability(available=False, reason="speck-lib is not installed; pip install speck-lib")
        import speck_lib

        return Availability(available=True, version=speck_lib.VERSION)

    def load(self, spec, report):
        self.tokenizer = TableTokenizer(["dust"])
        return LoadedModel(tokenizer=self.tokenizer, context_length=64)

    def add(self, request):
        self.request = request

    def step(self):
        request, self.request = self.request, None
        if request is None:
            return ()
        return (TokenEvent(request_id=request.request_id, token=self.tokenizer.first, finish="stop"),)

    def remove(self, request_id):
        self.request = None

    def unload(self): ...

    def status(self):
        return EngineStatus()


class Mote(Speck):
    name = "mote"


@hookimpl
def rbee_register(register):
    register.engine(Speck)
    register.engine(Mote)
"""
SPECK = "Name: rbee-speck\nVersion: 1.0\nSummary: A speck.\nProvides-Extra: engine\nRequires-Dist: rbee\n"
LIBRARY = 'Requires-Dist: speck-lib>=2; extra == "engine"\n'


def wheel(folder: Path, name: str, version: str, metadata: str, files: Mapping[str, str]) -> Path:
    """A wheel of some files."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    whole = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{file.replace("INFO/", f"{info}/"): text for file, text in files.items()},
    }
    record = "".join(f"{file},,\n" for file in [*whole, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**whole, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path


def speck(folder: Path, engine: str = ENGINE) -> None:
    """The engine and its library."""
    entry = "[rbee]\nspeck = rbee_speck\n"
    files = {"rbee_speck.py": engine, "INFO/entry_points.txt": entry}
    wheel(folder, "rbee_speck", "1.0", SPECK + LIBRARY, files)
    wheel(folder, "speck_lib", "2.5", "Name: speck-lib\nVersion: 2.5\n", {"speck_lib.py": "VERSION = '2.5'\n"})


def dead_end(folder: Path) -> None:
    """A package that brings no engine."""
    wheel(folder, "nothing", "1.0", "Name: nothing\nVersion: 1.0\n", {"nothing.py": ""})


STUCK = """
import pathlib, time

def build_wheel(*_args, **_more):
    pathlib.Path({mark!r}).write_text("begun")
    time.sleep(600)

prepare_metadata_for_build_wheel = build_wheel
"""


def stuck(folder: Path, mark: Path) -> None:
    """A package that never ends being built; it makes a file as it begins."""
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n",
        "pyproject.toml": f'{project}\n[project]\nname = "stuck"\ndynamic = ["version"]\n',
        "backend.py": STUCK.format(mark=str(mark)),
    }
    with tarfile.open(folder / "stuck-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            about = tarfile.TarInfo(f"stuck-1.0/{name}")
            about.size = len(text.encode())
            archive.addfile(about, io.BytesIO(text.encode()))
