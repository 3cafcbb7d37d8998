"""How quickly models come: the transfer, a pull and a copy from hive to hive, against what `curl` does.

By hand, on a machine that does nothing else, with room for six times the file::

    uv run --group test python tests/bench/models.py
    uv run --group test python tests/bench/models.py --mib 256 --rounds 5 --engine-only

A stand-in hub serves one file from a process of its own.  Each round does everything in turn; the tables have medians
and their ratios to `curl` in the same run.  `curl` leaves the file in the system's hands; the transfer and whatever is
built on it return when it is verified and on the disk, so what it is to beat is `curl`, a checksum and a `sync`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rbee.contract import FileSource, HttpModelVendor, ModelFile, ModelVariant
from rbee.contract.transfer import fetch_files
from rbee.testing.cancel import Cancel
from rbee.testing.colony import Colony, Home, eventually
from rbee.testing.hub.gguf_sample import gguf_bytes

MIB = 1024 * 1024
REPOSITORY = "bench/large-GGUF"
FILE = "large-Q8_0.gguf"
MODEL = f"hf:{REPOSITORY}:Q8_0"


class OneFile(HttpModelVendor):
    """A vendor of one file.

    Args:
        source: where it is.
    """

    name = "bench"

    def __init__(self, source: FileSource) -> None:
        self._source = source

    def supports(self, ref: str) -> bool:
        """Never asked."""
        return False

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """Never asked."""
        return ()

    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        """The file."""
        return self._source


class Measured:
    """Seconds of each thing in each round.

    Args:
        mib: size of the file.
    """

    def __init__(self, mib: int) -> None:
        self._mib = mib
        self._taken: dict[str, list[float]] = {}

    def take(self, what: str, work: Callable[[], object]) -> None:
        """Do it once; what earlier work has left to be written to the disk is written first."""
        os.sync()
        began = time.perf_counter()
        work()
        self._taken.setdefault(what, []).append(time.perf_counter() - began)

    def table(self, title: str, floor: str) -> None:
        """Print medians, best ones and ratios to one row."""
        base = statistics.median(self._taken[floor])
        print(f"{title:<56}{'median':>9}{'best':>9}{'MiB/s':>8}{'ratio':>7}")
        for what, taken in self._taken.items():
            median = statistics.median(taken)
            print(f"{what:<56}{median:>8.2f}s{min(taken):>8.2f}s{self._mib / median:>8.0f}{base / median:>7.2f}")
        print()


def main() -> None:
    """Print the tables."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="rbee-bench-", dir=options.folder) as name:
        folder = Path(name)
        file = make_file(folder / "hub" / REPOSITORY / FILE, options.mib)
        with stand_in_hub(folder / "hub") as url:
            address = f"{url}/{REPOSITORY}/resolve/main/{FILE}"
            print(f"{options.mib} MiB, {options.rounds} rounds in turn, {os.cpu_count()} cores\n")
            transfers(folder, address, file, options.mib, options.rounds)
            if not options.engine_only:
                colony(folder, url, file, options.mib, options.rounds)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is done")
    parser.add_argument("--engine-only", action="store_true", help="without a colony")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; the system's for temporary files else")
    return parser.parse_args()


def transfers(folder: Path, address: str, file: ModelFile, mib: int, rounds: int) -> None:
    """The transfer alone."""
    plain = ModelFile(name=file.name, size_bytes=file.size_bytes)
    source = FileSource(url=address, direct=True)
    measured = Measured(mib)
    out = folder / "out"
    for _ in range(rounds):
        for what, work in (
            ("curl", lambda: curl(address, out)),
            ("curl; sync", lambda: synced(curl(address, out))),
            ("curl; sha256sum", lambda: summed(curl(address, out))),
            ("curl; sha256 as the transfer computes it", lambda: hashed(curl(address, out))),
            ("curl; the same; sync", lambda: synced(hashed(curl(address, out)))),
            ("transfer, verified and on the disk", lambda: transfer(source, file, out)),
            ("transfer without a checksum, on the disk", lambda: transfer(source, plain, out)),
        ):
            with fresh(out):
                measured.take(what, work)
    measured.table("from the hub", "curl")


def colony(folder: Path, hub: str, file: ModelFile, mib: int, rounds: int) -> None:
    """A pull through a colony, and a copy from its hive to another one."""
    environment = {"HF_ENDPOINT": hub, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(folder / "hf"), "HF_TOKEN": ""}
    first = Colony(folder / "first", {"hive.id": "first"}, environment)
    second = Home(folder / "second", {"hive.id": "second"}, environment)
    try:
        first.start_up()
        second.token_file.parent.mkdir(parents=True)
        shutil.copy(first.token_file, second.token_file)
        second.settings |= {"registry.url": first.registry_url, "queen.url": first.queen_url}
        with second.start("hive", "start", "--json"):
            eventually(lambda: online(first) == {"first", "second"}, 30, every=0.2)
            pulls(folder, first, hub, mib, rounds)
            copies(folder, first, file, mib, rounds)
    finally:
        first.clean_up()
        second.clean_up()


def online(home: Colony) -> set[str]:
    """Ids of the hives that the queen can use."""
    hives = home.http.get(f"{home.queen_url}/v1/info").json()["hives"]
    return {one["hive_id"] for one in hives if one["online"]}


def pulls(folder: Path, home: Home, hub: str, mib: int, rounds: int) -> None:
    """`rbee pull`, with the start of its process and the question to the hub; the model stays after the last one."""
    address = f"{hub}/{REPOSITORY}/resolve/main/{FILE}"
    measured = Measured(mib)
    out = folder / "out"
    for turn in range(rounds):
        if turn:
            rbee(home, "model", "rm", MODEL, "--hive", "first")
        for what, work in (
            ("curl", lambda: curl(address, out)),
            ("curl; sha256sum", lambda: summed(curl(address, out))),
            ("rbee pull", lambda: rbee(home, "pull", MODEL, "--hive", "first")),
        ):
            with fresh(out):
                measured.take(what, work)
    measured.table("through a colony", "curl")


def copies(folder: Path, home: Colony, file: ModelFile, mib: int, rounds: int) -> None:
    """`rbee model cp`, against the same file from the same hive."""
    (key,) = (path.name for path in (home.home).rglob("*") if path.is_dir() and (path / FILE).is_file())
    address = f"{home.hive_url}/v1/models/{key}/files/{FILE}"
    secret = ("Authorization", f"Bearer {home.token}")
    source = FileSource(url=address, headers=(secret,), direct=True)
    measured = Measured(mib)
    out = folder / "out"
    for turn in range(rounds):
        if turn:
            rbee(home, "model", "rm", MODEL, "--hive", "second")
        for what, work in (
            ("curl", lambda: curl(address, out, ": ".join(secret))),
            ("curl; sha256sum", lambda: summed(curl(address, out, ": ".join(secret)))),
            ("transfer, verified and on the disk", lambda: transfer(source, file, out)),
            ("rbee model cp", lambda: rbee(home, "model", "cp", MODEL, "--from", "first", "--to", "second")),
        ):
            with fresh(out):
                measured.take(what, work)
    measured.table("from hive to hive", "curl")


def make_file(path: Path, mib: int) -> ModelFile:
    """A model file of that size: a true head, and noise."""
    path.parent.mkdir(parents=True)
    digest, left = hashlib.sha256(), mib * MIB
    with path.open("wb") as stream:
        block = gguf_bytes(quantization="Q8_0")
        while left:
            block = block[:left]
            stream.write(block)
            digest.update(block)
            left -= len(block)
            block = os.urandom(MIB)
    return ModelFile(name=FILE, size_bytes=mib * MIB, sha256=digest.hexdigest())


@contextlib.contextmanager
def stand_in_hub(folder: Path) -> Iterator[str]:
    """A hub in a process of its own; gives its address."""
    command = [sys.executable, "-m", "rbee.testing.hub", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().strip()
        finally:
            running.terminate()


@contextlib.contextmanager
def fresh(folder: Path) -> Iterator[None]:
    """An empty folder that is gone afterwards."""
    folder.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(folder)


def curl(address: str, out: Path, header: str = "Accept: */*") -> Path:
    """Fetch with `curl`."""
    path = out / FILE
    subprocess.run(["curl", "-sfL", "-H", header, "-o", str(path), address], check=True)
    return path


def summed(path: Path) -> Path:
    """Compute the checksum as a person does."""
    subprocess.run(["sha256sum", str(path)], check=True, stdout=subprocess.DEVNULL)
    return path


def hashed(path: Path) -> Path:
    """Compute the checksum with Python's library, which uses what the processor has for it."""
    with path.open("rb") as stream:
        hashlib.file_digest(stream, "sha256")
    return path


def synced(path: Path) -> None:
    """Wait until a file is on the disk."""
    subprocess.run(["sync", "-d", str(path)], check=True)


def transfer(source: FileSource, file: ModelFile, out: Path) -> None:
    """Fetch with the transfer."""
    variant = ModelVariant(model_id="bench", name="bench", vendor="bench", format="gguf", files=(file,))
    fetch_files(OneFile(source), variant, out, lambda _done, _total: None, Cancel(), spare_bytes=0)


def rbee(home: Home, *args: str) -> str:
    """Run a command of rbee."""
    done = home.cli(*args)
    if done.returncode:
        raise SystemExit(f"rbee {' '.join(args)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
