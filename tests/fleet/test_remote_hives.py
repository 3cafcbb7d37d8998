"""Other machines, over a real SSH server: rbee is brought there, runs, is replaced, and goes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from fleet.conftest import one_line
from rbee.builtin.plugin_packages.distributions import closure, installed
from rbee.http.ports import advertised_address
from rbee.remote.bundle import Bundle, sha256_of
from rbee.remote.bundling import wheelhouse, write
from rbee.testing.colony import Colony, eventually
from rbee.testing.sshd import Sshd, running_sshd, why_no_sshd

pytestmark = [
    pytest.mark.skipif(why_no_sshd() is not None, reason=str(why_no_sshd())),
    pytest.mark.skipif(advertised_address().startswith("127."), reason="this machine has no address but its loopback"),
]

ROOT = Path(".local/share/rbee/hive")


@pytest.fixture(scope="module")
def made(colony: Colony) -> Bundle:
    """The wheels of rbee with a plugin that answers without a model's files, and nothing that a hive does not load."""
    # Where the colony keeps wheels itself: `rbee bundle build` finds them made.
    found = wheelhouse(colony.home / "data" / "bundling", ["echo"])
    needed = closure(["rbee", "rbee-echo"], installed(), extras=False) - {"faker"}
    files = tuple(one for one in found.manifest.files if one.package.partition("==")[0] in needed)
    packages = tuple(one.package for one in files)
    manifest = msgspec.structs.replace(found.manifest, files=files, packages=packages)
    return Bundle(manifest=manifest, places=found.places)


@pytest.fixture(scope="module")
def bundle(made: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "rbee.tar"
    write(made, path)
    return path


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    # With the programs of this machine: uv is quicker than pip.
    with running_sshd(tmp_path_factory.mktemp("attic"), environment={"PATH": os.environ["PATH"]}) as server:
        yield server
        # Hives go on when the connection ends, also after a test that failed.
        for process in there(server):
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture(scope="module")
def colony(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Colony]:
    found = Colony(tmp_path_factory.mktemp("queen"), {"server.host": "0.0.0.0", "hive.id": "first"})
    try:
        yield found.start_up()
    finally:
        found.stop()
        found.clean_up()


@pytest.fixture
def cellar(tmp_path: Path) -> Iterator[Sshd]:
    """A machine without Python and uv."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "df", "awk", "uname", "id", "rm", "mkdir", "readlink", "env", "sha256sum", "ps", "tail"):
        (tools / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    with running_sshd(tmp_path / "cellar", environment={"PATH": str(tools)}) as server:
        yield server


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def enter(colony: Colony, sshd: Sshd, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    words = ["--ssh-host", sshd.address, "--ssh-port", str(sshd.port), "--ssh-user", sshd.user, "--jump", "none"]
    words += ["--ssh-key", str(sshd.key), "--host-key", sshd.fingerprint, "--port", str(free_port())]
    done = colony.cli("hive", "add", name, *words, *args)
    assert done.returncode == 0, done.stderr
    return done


def online(colony: Colony) -> set[str]:
    info = colony.http.get(f"{colony.queen_url}/v1/info").json()
    return {one["hive_id"] for one in info["hives"] if one["online"]}


def run(colony: Colony, operation: str, name: str, **fields: object) -> dict[str, object]:
    """The result of an operation that goes well."""
    last = colony.run_job(f"hive_{operation}", hive_id=name, **fields)
    assert last["type"] == "done", last
    return last["result"]


def there(sshd: Sshd) -> list[psutil.Process]:
    """Processes of the machine."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(f"{sshd.home}/" in word for word in process.cmdline()):
                found.append(process)
    return found


def left_there(sshd: Sshd) -> list[str]:
    """What still runs on the machine."""
    return [" ".join(process.cmdline()) for process in there(sshd)]


def other(made: Bundle, folder: Path, inside: str, text: str) -> Path:
    """A bundle of another build of rbee: one of its files has a further line."""
    file = next(one for one in made.manifest.of("wheel") if one.package.startswith("rbee=="))
    wheel = folder / file.name
    with zipfile.ZipFile(made.places[file.path]) as before, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as after:
        for entry in before.infolist():
            content = before.read(entry)
            after.writestr(entry, content + text.encode() if entry.filename == inside else content)
    digest = sha256_of(wheel)
    changed = msgspec.structs.replace(file, sha256=digest, size=wheel.stat().st_size)
    manifest = msgspec.structs.replace(
        made.manifest,
        environment=f"{made.manifest.version}-{digest[:10]}",
        files=tuple(changed if one is file else one for one in made.manifest.files),
    )
    path = folder / "other.tar"
    write(Bundle(manifest=manifest, places={**made.places, file.path: wheel}), path)
    return path


def test_a_machine_is_given_rbee_and_infers_and_goes_back_from_a_version_that_does_not_come_up(
    colony: Colony, sshd: Sshd, made: Bundle, bundle: Path, tmp_path: Path
) -> None:
    enter(colony, sshd, "attic", "--no-connect")
    planned = colony.cli("hive", "install", "attic", "--bundle", str(bundle), "--dry-run")
    assert len(planned.stdout.splitlines()) == 3, planned.stderr
    assert not (sshd.home / ROOT).exists()
    assert colony.cli("hive", "rm", "attic").returncode == 0
    added = enter(colony, sshd, "attic", "--bundle", str(bundle), "--json")
    told = json.loads(added.stdout)["installed"]
    assert told is not None, added.stderr
    first = made.manifest.environment
    assert (told["environment"], told["source"], told["running"], told["online"]) == (first, "wheelhouse", True, True)
    assert told["devices"]
    assert colony.run_job("worker_spawn", hive_id="attic", model="echo", worker_id="far")["type"] == "done"
    answer = colony.http.post(
        f"{colony.queen_url}/v1/chat/completions",
        json={"model": "echo", "messages": [{"role": "user", "content": "hello"}]},
    ).json()
    assert "hello" in answer["choices"][0]["message"]["content"]
    assert run(colony, "install", "attic", bundle=str(bundle))["changed"] is False
    enter(colony, sshd, "second", "--no-connect")
    taken = colony.cli("hive", "install", "second", "--bundle", str(bundle))
    assert (taken.returncode, "is hive 'attic' of this colony" in one_line(taken.stderr)) == (1, True)
    assert "attic" in online(colony)
    assert colony.cli("hive", "rm", "second").returncode == 0
    assert (
        colony.token
        not in subprocess.run(
            ["grep", "-r", "-a", colony.token, str(sshd.home)], capture_output=True, text=True, check=False
        ).stdout
    )

    broken = other(made, tmp_path, "rbee/hive/service.py", "\nraise OSError('this build is broken')\n")
    refused = colony.cli("hive", "upgrade", "attic", "--bundle", str(broken))
    line = one_line(refused.stderr)
    assert refused.returncode == 1
    assert "this build is broken" in line
    assert f"goes on with {first}" in line
    assert "attic" in online(colony)
    assert [one.name for one in (sshd.home / ROOT / "versions").iterdir()] == [first]

    log = colony.cli("hive", "logs", "attic", "-n", "1000")
    assert "The hive is up" in log.stdout
    stopped = run(colony, "stop", "attic")
    assert (stopped["running"], stopped["environment"]) == (False, first)
    assert left_there(sshd) == []
    eventually(lambda: "attic" not in online(colony), 20)
    assert run(colony, "start", "attic")["online"] is True
    kept = run(colony, "uninstall", "attic")
    assert (kept["environment"], kept["changed"]) == (None, True)
    assert sorted(one.name for one in (sshd.home / ROOT).iterdir()) == ["hive.log", "home"]
    asked = colony.cli("hive", "uninstall", "attic", "--purge")
    assert "--yes" in one_line(asked.stderr)
    run(colony, "uninstall", "attic", purge=True)
    assert not (sshd.home / ROOT).exists()
    assert left_there(sshd) == []


def test_a_machine_without_python_is_left_as_it_was_and_told_what_is_missing(
    colony: Colony, cellar: Sshd, bundle: Path
) -> None:
    enter(colony, cellar, "cellar", "--no-connect")
    refused = colony.cli("hive", "install", "cellar", "--bundle", str(bundle))
    assert refused.returncode == 1
    line = one_line(refused.stderr)
    assert "Choosing a Python on cellar" in line
    assert "Install Python" in line
    assert not (cellar.home / ".local").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes the rights of an administrator")
def test_a_full_disk_there_is_named_and_nothing_is_left_on_it(
    colony: Colony, sshd: Sshd, bundle: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        enter(colony, sshd, "loft", "--no-connect", "--install-path", str(small / "rbee"))
        refused = colony.cli("hive", "install", "loft", "--bundle", str(bundle))
        line = one_line(refused.stderr)
        assert refused.returncode == 1
        assert "loft" in line
        assert "MiB free" in line
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_installation_that_is_interrupted_leaves_the_machine_as_it_was(
    colony: Colony, sshd: Sshd, bundle: Path
) -> None:
    enter(colony, sshd, "shed", "--no-connect", "--install-path", str(sshd.home / "shed"))
    with colony.start("hive", "install", "shed", "--bundle", str(bundle)) as command:
        eventually((sshd.home / "shed" / "rbee-hive" / "wheels").exists, 30)
        command.interrupt()
        assert command.wait() == 130
    eventually(lambda: not (sshd.home / "shed" / "rbee-hive").exists(), 20)


def test_many_machines_are_done_at_once_and_one_that_fails_is_told_among_the_others(colony: Colony, sshd: Sshd) -> None:
    enter(colony, sshd, "one", "--no-connect", "--install-path", "one")
    enter(colony, sshd, "two", "--no-connect", "--install-path", "two", "--host-key", f"SHA256:{'A' * 43}")
    told = colony.cli("hive", "status", "one", "two", "--json")
    one, two = json.loads(told.stdout)
    assert (told.returncode, one["failed"], one["environment"]) == (1, None, None)
    assert two["failed"] is not None


def test_a_bundle_is_built_with_a_model_and_checked(colony: Colony, made: Bundle, tmp_path: Path) -> None:
    pulled = colony.cli("pull", "demo")
    assert pulled.returncode == 0, pulled.stderr
    path = tmp_path / "site.tar"
    built = colony.cli("bundle", "build", "--plugin", "echo", "--model", "demo", "-o", str(path), "--json")
    assert built.returncode == 0, built.stderr
    told = json.loads(built.stdout)
    assert (told["version"], told["platform"]) == (made.manifest.version, made.manifest.platform)
    assert [one["model"] for one in told["files"] if one["kind"] == "model"] == ["demo"]
    whole = colony.cli("bundle", "verify", str(path))
    assert whole.returncode == 0, whole.stderr
    assert "models: demo" in whole.stdout
    with path.open("r+b") as file:
        file.seek(-20_000, os.SEEK_END)
        file.write(b"damaged")
    damaged = colony.cli("bundle", "verify", str(path))
    assert damaged.returncode == 1
    assert "not as it was made" in one_line(damaged.stderr)
