"""A colony whose disk has filled: what frees it works, and so does what only looks."""

import contextlib
import json
import shutil
import subprocess

import pytest
from rbee.testing.colony import Colony, eventually


@pytest.fixture
def full(tmp_path):
    """A colony on a disk of its own that has a model, and then not a byte left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(disk)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk takes a mount, which is not permitted here: {mounted.stderr.strip()}")
    colony = Colony(disk)
    try:
        colony.start_up()
        pulled = colony.cli("pull", "demo")
        assert pulled.returncode == 0, pulled.stderr
        with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(2**20))
        assert shutil.disk_usage(disk).free == 0
        yield colony
    finally:
        colony.clean_up()
        subprocess.run(["umount", str(disk)], check=True)


def test_what_looks_and_what_frees_works_on_a_full_disk(full):
    for command in (("model", "ls"), ("model", "show", "demo"), ("job", "ls"), ("plan", "demo"), ("ps",), ("status",)):
        done = full.cli(*command)
        assert done.returncode == 0, done.stderr
    assert "available" in full.cli("model", "ls").stdout
    tidied = full.cli("model", "gc")
    assert (tidied.returncode, tidied.stderr) == (0, "Nothing to delete.\n")
    removed = full.cli("model", "rm", "demo")
    assert removed.returncode == 0, removed.stderr
    assert "demo: 4.6 MiB were freed." in removed.stderr
    assert "No models" in full.cli("model", "ls").stderr
    # With room again all of it is written down.
    stored = {"model_list", "model_get", "model_plan", "model_gc", "model_delete"}

    def written():
        jobs = json.loads(full.cli("job", "ls", "--json").stdout)
        told = {one["operation"]: one["state"] for one in (jobs["jobs"] if isinstance(jobs, dict) else jobs)}
        return stored <= told.keys() and {told[name] for name in stored} == {"completed"}

    eventually(written, 20)
