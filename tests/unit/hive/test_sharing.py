"""Hives give each other the files of models: real hives, a real queen, and a hub that counts."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import httpx2
import msgspec
import pytest
from rbee.catalog import CatalogEntry
from rbee.catalog.layout import folder_name
from rbee.clients import Credentials, Transport
from rbee.clients.jobs import JobsClient, raise_for
from rbee.clients.who import SOME_HIVE
from rbee.contract import ModelFile
from rbee.contract.errors import ConflictError, ModelFileError, NotFoundError
from rbee.contract.wire import HeldModels, ModelStanding
from rbee.hive import HiveService, peer_lines
from rbee.hive.peer_lines import PeerLines, Silent
from rbee.hive.shelf import Shelf
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
    transport = Transport(hive.url, Credentials(TOKEN), SOME_HIVE)
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


class Liar:
    """Stands where a hive's shelf stands, and tells something else of its models.

    Args:
        shelf: its own.
        lie: what it changes in an answer.
    """

    def __init__(self, shelf: Shelf, **lie: object) -> None:
        self._shelf = shelf
        self._lie = lie

    async def held(self) -> HeldModels:
        return await self._shelf.held()

    async def standing(self, key: str, *, checksums: bool = False) -> ModelStanding:
        told = await self._shelf.standing(key, checksums=checksums)
        return msgspec.structs.replace(told, variant=msgspec.structs.replace(told.variant, **self._lie))

    async def close(self) -> None:
        await self._shelf.close()


async def test_a_hive_that_lies_of_its_model_puts_nothing_into_the_catalogue_of_another(programs, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    await do(first, "model_download", model=ref)
    honest = first.service.shelf
    passwd = ModelFile(name="passwd", size_bytes=1, sha256="a" * 64)
    for lie in (
        {"model_id": f"{ref[:-1]}0", "in_place": "/etc/passwd", "files": (passwd,)},
        {"in_place": "/etc/passwd", "files": (passwd,)},
        {"files": (msgspec.structs.replace(passwd, name="../../passwd"),)},
        {"files": (msgspec.structs.replace(passwd, sha256=None),)},
    ):
        first.service.shelf = Liar(honest, **lie)
        with pytest.raises(ModelFileError, match="not taken from hive 'a'"):
            await do(second, "model_download", model=ref, from_hive="a")
        assert await second.service.catalog.entries() == []
    first.service.shelf = honest


async def test_a_hive_that_lies_of_its_name_or_model_is_passed_over(programs, hub: Hub, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    await do(first, "model_download", model=ref)
    honest = first.service.shelf
    first.service.shelf = Liar(honest, model_id="url:other")
    assert (await do(second, "model_download", model=ref))["from_hive"] is None
    first.service.shelf = honest


async def test_a_copy_asks_no_vendor_what_its_name_means(programs, hub: Hub, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    await do(first, "model_download", model=ref)
    hub.stop()
    told = await do(second, "model_download", model=ref, from_hive="a")
    assert (told["from_hive"], told["model_id"], told["fetched_bytes"]) == ("a", ref, len(DATA))


async def test_a_copy_needs_the_name_of_one_model_that_is_there(programs, ref: str) -> None:
    first, second = await colony(programs, "a", "b")
    await do(first, "model_download", model=ref)
    with pytest.raises(NotFoundError, match=rf"Hive 'a' has no model 'n' .* It has: {re.escape(ref)}\."):
        await do(second, "model_download", model="n", from_hive="a")
    store = first.service.catalog._store
    (entry,) = await store.list()
    for word in ("hub:o/m:Q8_0", "hub:o/m:Q4_0"):
        folder = first.service.catalog.folder_of(word)
        folder.mkdir()
        (folder / "m.gguf").write_bytes(DATA)
        variant = msgspec.structs.replace(entry.variant, model_id=word, name=word)
        await store.put(msgspec.structs.replace(entry, variant=variant))
    with pytest.raises(ConflictError, match="several models of hive 'a': 'hub:o/m:Q4_0', 'hub:o/m:Q8_0'"):
        await do(second, "model_download", model="o/m", from_hive="a")
    told = await do(second, "model_download", model="o/m:q4_0", from_hive="a")
    assert (told["from_hive"], told["model_id"]) == ("a", "hub:o/m:Q4_0")


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a machine that takes calls and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_two_that_begin_together_fetch_once_beside_a_hive_that_is_dead(
    programs, hub: Hub, ref: str, silent: str, monkeypatch
) -> None:
    others = HiveService.other_hives

    async def with_a_dead_one(service: HiveService) -> Mapping[str, str]:
        return {**await others(service), "0": silent}

    monkeypatch.setattr(HiveService, "other_hives", with_a_dead_one)
    monkeypatch.setattr(peer_lines, "_ASK_S", 0.5)
    hives = await colony(programs, "a", "b")
    hub.fault("org/m/m.gguf", bytes_per_s=1_000_000, times=None)
    # The later one first: it hears of nobody, and is told so half a second late.
    second = asyncio.create_task(do(hives[1], "model_download", model=ref))
    await until(lambda: hives[1].service.catalog.fetch_of(ref))
    first = asyncio.create_task(do(hives[0], "model_download", model=ref))
    told = await asyncio.gather(first, second)
    assert sorted(str(one["from_hive"]) for one in told) == ["None", "a"]
    assert hub.ledger.sent("org/m/m.gguf") == len(DATA)


async def test_a_wait_asks_the_queen_for_the_hives_now_and_then(programs) -> None:
    (hive,) = await colony(programs, "a")
    lists = 0

    async def hives() -> Mapping[str, str]:
        nonlocal lists
        lists += 1
        return {"a": hive.url, "self": hive.url}

    async with PeerLines("self", Credentials(TOKEN), hives, Silent()) as lines:
        for _ in range(5):
            assert await lines.standings("m") == []
        assert lists == 1
        assert len(lines._transports) == 1
    assert hive.asked[f"GET /v1/catalog/{folder_name('m')}"] == 5


async def test_a_hive_that_does_not_answer_is_left_alone_for_a_while(silent: str, monkeypatch) -> None:
    monkeypatch.setattr(peer_lines, "_ASK_S", 0.2)

    async def hives() -> Mapping[str, str]:
        return {"dead": silent}

    known = Silent()
    loop = asyncio.get_running_loop()
    for most_s in (5.0, 0.1):
        begun = loop.time()
        async with PeerLines("self", Credentials(TOKEN), hives, known) as lines:
            assert await lines.standings("m") == []
        assert loop.time() - begun < most_s
    assert silent in known


async def test_a_part_of_a_file_costs_a_look_at_its_model_alone(holder: Program, ref: str, monkeypatch) -> None:
    catalog, lists = holder.service.catalog, []
    listed = catalog.list

    async def counting() -> list[CatalogEntry]:
        lists.append(1)
        return await listed()

    monkeypatch.setattr(catalog, "list", counting)
    for _ in range(3):
        assert (await get(file_url(holder, ref), range="bytes=0-9", **AUTHORIZED)).status_code == 206
    assert len(lists) == 1
    await do(holder, "model_delete", model=ref)
    assert (await get(file_url(holder, ref), **AUTHORIZED)).status_code == 404
