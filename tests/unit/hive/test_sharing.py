"""Hives give each other the files of models: real hives, a real queen, and a hub that counts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from rbee.catalog.layout import folder_name
from rbee.clients import Transport
from rbee.clients.jobs import JobsClient, raise_for
from rbee.contract.errors import NotFoundError
from rbee.settings.model import Settings
from rbee.testing.hub import Hub
from rbee.testing.hub.gguf_sample import gguf_bytes
from unit.programs import TOKEN, Program, Programs, until

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")

DATA = gguf_bytes(quantization="Q8_0") + bytes(300_000)
SUM = hashlib.sha256(DATA).hexdigest()
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        running.add("org/m", {"m.gguf": DATA})
        yield running


@pytest.fixture
def ref(hub: Hub) -> str:
    return f"{hub.url}/org/m/resolve/main/m.gguf#sha256={SUM}"


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    made = Programs(tmp_path, Settings())
    yield made
    await made.close()


async def colony(programs: Programs, *names: str) -> list[Program]:
    """A queen and hives that she hears."""
    queen = await programs.queen()
    hives = [await programs.hive(name, queen_url=queen.url) for name in names]
    await until(lambda: queen.service.telemetry.online_hive_count() == len(names))
    return hives


async def do(hive: Program, operation: str, **fields: object) -> dict:
    """Run an operation as a client does."""
    transport = Transport(hive.url, TOKEN, "The hive")
    jobs = JobsClient(transport)
    result = {}
    try:
        async for event in jobs.events(await jobs.submit(operation, **fields)):
            if event.type == "data" and event.action == "result":
                result = event.payload
            elif event.terminal:
                raise_for(event)
    finally:
        await transport.close()
    return result


async def get(url: str, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(url, headers=headers)


@pytest.fixture
async def holder(programs: Programs, ref: str) -> Program:
    """A hive that has the model."""
    hive = await programs.hive("a")
    await do(hive, "model_download", model=ref)
    return hive


def file_url(hive: Program, ref: str) -> str:
    return f"{hive.url}/v1/models/{folder_name(ref)}/files/m.gguf"


async def test_a_model_crosses_the_line_to_its_vendor_once(programs, hub: Hub, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    told = await do(first, "model_download", model=ref)
    assert (told["from_hive"], told["fetched_bytes"]) == (None, len(DATA))
    sent = hub.ledger.sent("org/m/m.gguf")
    assert sent == len(DATA)
    told = await do(second, "model_download", model=ref)
    assert (told["from_hive"], told["fetched_bytes"]) == ("a", len(DATA))
    assert hub.ledger.sent("org/m/m.gguf") == sent
    assert Path(told["path"]).read_bytes() == DATA


async def test_a_hive_waits_for_one_that_is_fetching(programs, hub: Hub, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    hub.fault("org/m/m.gguf", bytes_per_s=300_000)
    begun = asyncio.create_task(do(first, "model_download", model=ref))
    await until(lambda: (fetch := first.service.catalog.fetch_of(ref)) and fetch.at_source and fetch.done)
    told = await do(second, "model_download", model=ref)
    assert told["from_hive"] == "a"
    assert (await begun)["from_hive"] is None
    assert hub.ledger.sent("org/m/m.gguf") == len(DATA)


async def test_two_that_begin_together_fetch_once(programs, hub: Hub, ref: str) -> None:
    hives = await colony(programs, "a", "b")
    hub.fault("org/m/m.gguf", bytes_per_s=1_000_000, times=None)
    told = await asyncio.gather(*(do(hive, "model_download", model=ref) for hive in hives))
    assert sorted(str(one["from_hive"]) for one in told) == ["None", "a"]
    assert hub.ledger.sent("org/m/m.gguf") == len(DATA)


async def test_a_peer_with_other_bytes_is_not_believed(programs, hub: Hub, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    path = Path((await do(first, "model_download", model=ref))["path"])
    # As many bytes, which only the checksum tells apart.
    path.write_bytes(bytes(len(DATA)))
    told = await do(second, "model_download", model=ref)
    assert told["from_hive"] is None
    assert Path(told["path"]).read_bytes() == DATA


async def test_a_copy_is_taken_from_the_hive_that_is_named(programs, hub: Hub, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    with pytest.raises(NotFoundError, match="has no model"):
        await do(second, "model_download", model=ref, from_hive="a")
    with pytest.raises(NotFoundError, match="'moon' is not online"):
        await do(second, "model_download", model=ref, from_hive="moon")
    await do(first, "model_download", model=ref)
    hub.ledger.clear()
    told = await do(second, "model_download", model=ref, from_hive="a")
    assert (told["from_hive"], hub.ledger.sent()) == ("a", 0)


async def test_the_list_tells_what_is_whole_and_its_number_rises(programs, ref: str) -> None:
    hive = await programs.hive("a")
    before = (await get(f"{hive.url}/v1/catalog", **AUTHORIZED)).json()
    assert before["models"] == []
    await do(hive, "model_download", model=ref)
    after = (await get(f"{hive.url}/v1/catalog", **AUTHORIZED)).json()
    assert after["models_seq"] > before["models_seq"]
    assert hive.service.info().models_seq == after["models_seq"]
    (model,) = after["models"]
    assert model["variant"]["model_id"] == ref
    assert model["figures"]["architecture"] == "llama"
    assert model["key"] == folder_name(ref)


PARTS = (
    ("bytes=10-19", 206, "bytes 10-19/{size}", slice(10, 20)),
    ("bytes=10-", 206, "bytes 10-{last}/{size}", slice(10, None)),
    ("bytes=-7", 206, "bytes {tail}-{last}/{size}", slice(-7, None)),
    ("bytes=0-99999999", 206, "bytes 0-{last}/{size}", slice(None)),
    ("bytes=99999999-", 416, "bytes */{size}", slice(0, 0)),
    ("bytes=5-4", 416, "bytes */{size}", slice(0, 0)),
    ("bytes=0-1,5-6", 200, None, slice(None)),
)
ODD = ("bytes=-", "lines=1-2", "bytes=x-1", "bytes=1-" + "9" * 40)
STRANGE = ("other", "../catalog.db", "%2e%2e/catalog.db", ".rbee.json", "/etc/passwd", "m.gguf/x")


async def test_parts_of_a_file_can_be_asked_for_and_odd_ones_are_refused(holder: Program, ref: str) -> None:
    size = len(DATA)
    for asked, status, told, span in PARTS:
        answer = await get(file_url(holder, ref), range=asked, **AUTHORIZED)
        wanted = None if told is None else told.format(size=size, last=size - 1, tail=size - 7)
        assert (answer.status_code, answer.headers.get("content-range")) == (status, wanted), asked
        assert answer.content == DATA[span], asked
        assert answer.headers["etag"] == f'"{SUM}"'
    for asked in ODD:
        assert (await get(file_url(holder, ref), range=asked, **AUTHORIZED)).status_code == 400, asked
    answer = await get(file_url(holder, ref), range="bytes=10-", **{"if-range": '"other"', **AUTHORIZED})
    assert (answer.status_code, answer.content) == (200, DATA)


async def test_only_the_wanted_files_of_listed_models_are_served(holder: Program, ref: str) -> None:
    for name in STRANGE:
        answer = await get(f"{holder.url}/v1/models/{folder_name(ref)}/files/{name}", **AUTHORIZED)
        assert answer.status_code == 404, name
    assert (await get(f"{file_url(holder, ref)}?sha256={SUM}", **AUTHORIZED)).status_code == 200
    assert (await get(f"{file_url(holder, ref)}?sha256={'0' * 64}", **AUTHORIZED)).status_code == 404
    for path in ("/v1/catalog", "/v1/catalog/k", f"/v1/models/{folder_name(ref)}/files/m.gguf"):
        assert (await get(holder.url + path)).status_code == 401, path


async def test_a_reader_who_leaves_early_leaves_no_file_open(holder: Program, ref: str) -> None:
    async with (
        httpx2.AsyncClient(trust_env=False) as client,
        client.stream("GET", file_url(holder, ref), headers=AUTHORIZED) as answer,
    ):
        async for _ in answer.aiter_raw(1000):
            break
    path = str(holder.service.catalog.folder_of(ref) / "m.gguf")
    opened = Path("/proc/self/fd")
    if opened.is_dir():
        await until(lambda: path not in {str(fd.readlink()) for fd in opened.iterdir() if fd.is_symlink()})
