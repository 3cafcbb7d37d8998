"""A server without faults so far, and what a fetch takes."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rbee.contract import ModelFile
from rbee.contract.transfer import Fetched, Patience, fetch_files
from rbee.testing.cancel import Cancel
from unit.contract.transfer.stand_in import StandIn, StandInVendor, variant_of

QUICK = Patience(connect_s=2.0, silence_s=5.0, delays_s=(0.01, 0.01, 0.01), longest_wait_s=60.0)


@pytest.fixture
def content() -> bytes:
    """Of a file: large enough for several blocks, and nowhere alike."""
    return random.Random(4).randbytes(2_000_003)


@pytest.fixture
def server(content: bytes) -> Iterator[StandIn]:
    with StandIn() as running:
        running.files["/model.gguf"] = content
        yield running


@pytest.fixture
def other_server(content: bytes) -> Iterator[StandIn]:
    """Another origin."""
    with StandIn() as running:
        running.files["/model.gguf"] = content
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "parts"
    path.mkdir()
    return path


@pytest.fixture
def fetch(server: StandIn, folder: Path) -> Callable[..., Fetched]:
    """Fetch files from the server into the folder."""

    def run(*files: ModelFile, cancel: Cancel | None = None, progress: Any = None, **options: Any) -> Fetched:
        vendor = options.pop("vendor", None) or StandInVendor(server.url)
        options.setdefault("patience", QUICK)
        options.setdefault("spare_bytes", 0)
        told = progress or (lambda _done, _total: None)
        return fetch_files(vendor, variant_of(*files), folder, told, cancel or Cancel(), **options)

    return run


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """An address that takes no further connection and refuses none."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            line = stack.enter_context(socket.socket())
            line.setblocking(False)
            line.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """The folder on a disk of eight megabytes."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk takes a mount, which is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
