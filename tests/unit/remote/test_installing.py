"""Installing with the real uv and pip, of a distribution that is called rbee and does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import threading
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import msgspec
import pytest
from rbee.contract.errors import InsufficientDiskError, UnavailableError
from rbee.remote.bundle import Bundle, BundleFile, Manifest, sha256_of
from rbee.remote.installing import Installing, Progress, Tool
from rbee.remote.layout import Found, find
from rbee.remote.program import platform_here, python_here
from rbee.remote.sources import uv_program
from rbee.remote.wheels import repacked
from rbee.testing.local_host import LocalHost

PLUGGY = f"pluggy=={distribution('pluggy').version}"


def wheel_of_rbee(folder: Path, version: str, main: str = "print('rbee')") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"rbee-{version}-py3-none-any.whl"
    info = f"rbee-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("rbee/__init__.py", "")
        made.writestr("rbee/__main__.py", f"import pluggy\n{main}\n")
        made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: rbee\nVersion: {version}\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in made.namelist()))
    return wheel


def bundle_of(folder: Path, version: str = "1.0", main: str = "print('rbee')") -> Bundle:
    wheels = {
        f"rbee=={version}": wheel_of_rbee(folder, version, main),
        PLUGGY: repacked(distribution("pluggy"), folder),
    }
    files = tuple(
        BundleFile(
            path=f"wheels/{wheel.name}",
            size=wheel.stat().st_size,
            sha256=sha256_of(wheel),
            package=package,
            local=package.startswith("rbee"),
        )
        for package, wheel in wheels.items()
    )
    manifest = Manifest(
        version=version,
        environment=f"{version}-abc",
        platform=platform_here(),
        python=None,
        packages=tuple(sorted(wheels)),
        files=files,
    )
    return Bundle(manifest=manifest, places={file.path: folder / file.name for file in files})


class Site:
    """A machine, and what was said of the work on it."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        # Nothing on the machine is asked, and nothing kept outside of its home.
        self.host = LocalHost(home, {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1", **(environment or {})})
        self.said: list[str] = []
        self.sent: list[int] = []

    async def installing(self, root: str | None = None, **changes: object) -> tuple[Installing, Found]:
        found = msgspec.structs.replace(await find(self.host, root), **changes)
        progress = Progress(say=self.said.append, sent=lambda done, _total: self.sent.append(done))
        return Installing(self.host, found, progress), found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")


def tool(bundle: Bundle, installing: Installing) -> Tool:
    found = installing.tool(bundle, index=False)
    assert found is not None
    return found


@pytest.mark.parametrize("by", ["uv", "pip", "sent uv"])
async def test_wheels_that_were_sent_become_an_environment(site: Site, tmp_path: Path, by: str) -> None:
    bundle = bundle_of(tmp_path / "wheels")
    _, there = await site.installing()
    if by == "sent uv":
        if uv_program() is None or is_script(uv_program()):
            pytest.skip("there is no uv here that could be sent")
        pythons = tuple(msgspec.structs.replace(one, pip=False) for one in there.pythons)
        installing, _ = await site.installing(uv=None, pythons=pythons)
    elif by == "pip":
        installing, _ = await site.installing(uv=None)
    elif there.uv is None:
        pytest.skip("there is no uv on the path")
    else:
        installing, _ = await site.installing()
    assert await installing.install(bundle, tool(bundle, installing), "wheelhouse")
    found = await find(site.host)
    assert found.environments == ("1.0-abc",)
    assert not Path(found.layout.wheels).exists()
    assert Path(found.layout.uv).exists() == (by == "sent uv")
    again, _ = await site.installing()
    assert not await again.install(bundle, tool(bundle, again), "wheelhouse")


def is_script(program: str | None) -> bool:
    return program is None or Path(program).read_bytes()[:2] == b"#!"


async def test_what_an_earlier_try_has_sent_is_not_sent_again_but_for_what_is_damaged(
    site: Site, tmp_path: Path
) -> None:
    bundle = bundle_of(tmp_path / "wheels")
    installing, found = await site.installing()
    folder = Path(found.layout.wheels) / "1.0-abc"
    folder.mkdir(parents=True)
    rbee, pluggy = bundle.manifest.files
    (folder / rbee.name).write_bytes(bundle.places[rbee.path].read_bytes())
    (folder / pluggy.name).write_bytes(b"half of")
    await installing.install(bundle, tool(bundle, installing), "wheelhouse")
    assert site.sent == [pluggy.size]
    assert "Sending 1 wheels to box" in site.said


async def test_packages_come_from_the_index_where_it_answers_and_what_is_ours_is_sent(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "wheels")
    with index(tmp_path / "index", bundle.places[bundle.manifest.files[1].path]) as url:
        site = Site(
            tmp_path / "home", {"UV_OFFLINE": "0", "PIP_NO_INDEX": "0", "UV_DEFAULT_INDEX": url, "PIP_INDEX_URL": url}
        )
        installing, _ = await site.installing()
        assert await installing.reaches_index(bundle)
        assert not (site.host.home / ".local").exists(), "whoever asks leaves nothing"
        found = installing.tool(bundle, index=True)
        assert found is not None
        await installing.install(bundle, found, "index")
    assert site.sent == [bundle.manifest.files[0].size]
    assert (await find(site.host)).environments == ("1.0-abc",)


async def test_a_machine_that_reaches_no_index_is_told_from_one_that_does(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/simple"
    site = Site(
        tmp_path / "home", {"UV_OFFLINE": "0", "PIP_NO_INDEX": "0", "UV_DEFAULT_INDEX": url, "PIP_INDEX_URL": url}
    )
    installing, _ = await site.installing()
    assert not await installing.reaches_index(bundle_of(tmp_path / "wheels"))


async def test_an_environment_that_does_not_run_is_named_and_leaves_the_machine_as_it_was(
    site: Site, tmp_path: Path
) -> None:
    bundle = bundle_of(tmp_path / "wheels", main="raise SystemExit('no such instruction')")
    installing, found = await site.installing()
    with pytest.raises(UnavailableError, match="Trying the new environment on box: no such instruction"):
        await installing.install(bundle, tool(bundle, installing), "wheelhouse")
    assert not Path(found.layout.root).exists()


async def test_what_is_cancelled_is_undone(site: Site, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "wheels", main="import time; time.sleep(60)")
    installing, found = await site.installing()
    work = asyncio.create_task(installing.install(bundle, tool(bundle, installing), "wheelhouse"))
    async with asyncio.timeout(30):
        while not any("-m" in argv and "rbee" in argv for argv in site.host.ran):
            await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not Path(found.layout.root).exists()


async def test_a_disk_without_room_is_told_before_anything_is_sent(site: Site, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "wheels")
    installing, found = await site.installing(free_bytes=1000)
    with pytest.raises(InsufficientDiskError, match="Looking for room on box"):
        await installing.install(bundle, tool(bundle, installing), "wheelhouse")
    assert not Path(found.layout.root).exists()


async def test_switching_keeps_the_one_before_and_goes_back_to_it(site: Site, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        bundle = bundle_of(tmp_path / version, version)
        installing, _ = await site.installing()
        await installing.install(bundle, tool(bundle, installing), "wheelhouse")
        await installing.switch(bundle.manifest.environment)
    found = await find(site.host)
    assert (found.current, found.previous) == ("2.0-abc", "1.0-abc")
    await installing.back("1.0-abc", None)
    found = await find(site.host)
    assert (found.current, found.previous) == ("1.0-abc", None)
    tidying, _ = await site.installing()
    await tidying.tidy(["1.0-abc"])
    assert (await find(site.host)).environments == ("1.0-abc",)
    await tidying.back(None, None)
    found = await find(site.host)
    assert (found.current, found.previous) == (None, None)


@pytest.mark.parametrize("keep_data", [True, False])
async def test_clearing_leaves_what_is_the_users_own(site: Site, keep_data: bool) -> None:
    _, found = await site.installing()
    root = Path(found.layout.root)
    for name in ("home", "versions", "tools", "wheels", "mine"):
        (root / name).mkdir(parents=True)
    installing, _ = await site.installing()
    await installing.clear(keep_data=keep_data)
    assert sorted(one.name for one in root.iterdir()) == (["home", "mine"] if keep_data else ["mine"])
    (root / "mine").rmdir()
    await installing.clear()
    assert not root.exists()


@pytest.mark.parametrize("named", ["data", "data/"])
async def test_what_the_user_has_in_the_folder_that_was_named_stays_whatever_it_is_called(
    site: Site, tmp_path: Path, named: str
) -> None:
    names = ["home", "models", "tools", "versions", "wheels"]
    for name in names:
        (site.host.home / "data" / name).mkdir(parents=True)
    bundle = bundle_of(tmp_path / "wheels")
    installing, _ = await site.installing(named)
    await installing.install(bundle, tool(bundle, installing), "wheelhouse")
    whole, _ = await site.installing(named)
    await whole.clear()
    assert sorted(one.name for one in (site.host.home / "data").iterdir()) == names


async def test_by_what_it_is_installed_depends_on_what_is_there(site: Site, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "wheels")
    none, _ = await site.installing(uv=None, pythons=())
    assert none.tool(bundle, index=False) is None
    managed, _ = await site.installing(uv="/uv", pythons=())
    assert managed.tool(bundle, index=False) is None
    assert await managed.reaches_index(bundle)
    assert managed.tool(bundle, index=True) == Tool(uv="/uv", python=None, version=python_here())
    only = msgspec.structs.replace(bundle.manifest, python="3.99")
    other, _ = await site.installing()
    assert other.tool(Bundle(manifest=only, places=bundle.places), index=False) is None


@contextlib.contextmanager
def index(folder: Path, wheel: Path) -> Iterator[str]:
    """A package index with one wheel, on loopback."""
    place = folder / "simple" / "pluggy"
    place.mkdir(parents=True)
    (place / wheel.name).write_bytes(wheel.read_bytes())
    (place / "index.html").write_text(f'<a href="{wheel.name}#sha256={sha256_of(wheel)}">{wheel.name}</a>')

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    make: Callable[..., Handler] = lambda *args: Handler(*args, directory=str(folder))  # noqa: E731
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
