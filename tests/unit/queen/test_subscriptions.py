"""How queen and hives hear each other, with real servers: the queen pulls, the hive pushes where she cannot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from rbee.clients import Credentials, HiveClient, Transport
from rbee.clients.who import SOME_HIVE
from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.wire import Registration
from rbee.hive import reporter
from rbee.settings.model import HiveSettings, RegistrySettings, Settings
from unit.programs import TOKEN, Program, Programs, until

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")

PUSH = "POST /v1/hive-heartbeat"


@pytest.fixture
def settings() -> Settings:
    return Settings(hive=HiveSettings(telemetry_s=0.05), registry=RegistrySettings(heartbeat_s=1.0, online_s=2.0))


@pytest.fixture
async def programs(tmp_path: Path, settings: Settings) -> AsyncIterator[Programs]:
    made = Programs(tmp_path, settings)
    yield made
    await made.close()


@pytest.fixture
def nowhere() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def hears(queen: Program, hive_id: str = "h") -> bool:
    return queen.service.subscriptions.hears(hive_id)


def seq(queen: Program, hive_id: str = "h") -> int:
    record = queen.service.telemetry.get_hive_state(hive_id)
    return record.seq if record is not None and record.seq is not None else 0


async def test_the_queen_reads_the_stream_of_a_hive_that_was_only_registered(programs: Programs) -> None:
    queen = await programs.queen()
    hive = await programs.hive()
    await register(queen, hive.url)
    record = await until(lambda: queen.service.telemetry.get_hive_state("h"))
    await until(lambda: record.devices)
    assert (record.devices, record.url) == (hive.service.capabilities().capabilities, hive.url)
    assert record.engines is not None
    first = seq(queen)
    await until(lambda: seq(queen) > first + 2)
    assert hive.asked["GET /v1/capabilities"] == 1


async def register(queen: Program, url: str, hive_id: str = "h") -> None:
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as http:
        body = {"hive_id": hive_id, "hive_url": url}
        (await http.post(f"{queen.url}/v1/hive/ready", json=body)).raise_for_status()


async def test_a_hive_that_is_heard_does_not_push_every_beat(programs: Programs, monkeypatch) -> None:
    monkeypatch.setattr(reporter, "CHECK_S", 600.0)
    queen = await programs.queen()
    await programs.hive(queen_url=queen.url)
    await until(lambda: hears(queen))
    # One push more may be needed to hear that she does.
    await until(lambda: seq(queen) > 10)
    pushed = queen.asked[PUSH]
    heard = seq(queen)
    await until(lambda: seq(queen) > heard + 10)
    assert queen.asked[PUSH] <= pushed + 1


async def test_a_hive_that_cannot_be_reached_pushes_every_beat(programs: Programs, nowhere: str) -> None:
    queen = await programs.queen()
    await programs.hive(queen_url=queen.url, announced=nowhere)
    await until(lambda: queen.asked[PUSH] > 10)
    assert not hears(queen)
    record = queen.service.telemetry.get_hive_state("h")
    assert (record.url, record.seq is not None, queen.service.telemetry.is_hive_online("h")) == (nowhere, True, True)


async def test_pushes_begin_again_when_the_stream_breaks(programs: Programs, monkeypatch) -> None:
    monkeypatch.setattr(reporter, "CHECK_S", 600.0)
    queen = await programs.queen()
    await programs.hive(queen_url=queen.url)
    await until(lambda: hears(queen))
    await until(lambda: seq(queen) > 10)
    pushed = queen.asked[PUSH]
    queen.service.subscriptions.forget("h")
    await until(lambda: queen.asked[PUSH] > pushed)


async def test_the_address_at_which_a_hive_has_answered_wins_over_its_own(programs: Programs, nowhere: str) -> None:
    queen = await programs.queen()
    hive = await programs.hive(queen_url=queen.url, announced=nowhere)
    await until(lambda: seq(queen))
    found = Registration(component_type="hive", component_id="h", url=hive.url, instance_id=hive.service.instance_id)
    queen.service.reports._introductions.hive(found, answers=True)
    await until(lambda: hears(queen))
    queen.service.reports.register_hive(hive.service.registration())
    pushed, heard = queen.asked[PUSH], seq(queen)
    hive.service._reporter.stream_ended()
    await until(lambda: queen.asked[PUSH] > pushed and seq(queen) > heard + 3)
    assert hears(queen)
    assert queen.service.telemetry.get_hive_state("h").url == hive.url


async def test_another_hive_at_the_address_is_not_taken_for_it(programs: Programs) -> None:
    queen = await programs.queen()
    hive = await programs.hive("other")
    await register(queen, hive.url, "h")
    await until(lambda: hive.asked["GET /v1/capabilities"])
    await register(queen, hive.url, "other")
    await until(lambda: hears(queen, "other"))
    assert not hears(queen, "h")
    assert queen.service.telemetry.get_hive_state("h").info is None


async def test_a_wrong_address_is_told_once_and_no_job_is_done_there(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "rbee.queen")
    queen = await programs.queen()
    hive = await programs.hive("other")
    asked = "GET /v1/capabilities"
    for times in (1, 2, 3):
        await register(queen, hive.url, "h")
        await until(lambda times=times: hive.asked[asked] >= times)
    told = [message for message in caplog.messages if "announced" in message]
    assert len(told) == 1
    assert f"Hive 'h' was announced at '{hive.url}', where hive 'other' answers" in told[0]
    with pytest.raises(NotFoundError, match="This is hive 'other', not 'h'"):
        await queen.service._hives.run("h", "hive_check", {}, lambda _event: None)
    assert (await queen.service._hives.run("other", "hive_check", {}, lambda _event: None))["checks"]


async def test_two_hives_under_one_id_are_told_to_both_and_the_later_is_heard(
    tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "rbee")
    short = msgspec.structs.replace(settings.telemetry, hive_degraded_s=0.2, hive_down_s=0.5)
    programs = Programs(tmp_path, msgspec.structs.replace(settings, telemetry=short))
    try:
        queen = await programs.queen()
        first = await programs.hive(queen_url=queen.url)
        await until(lambda: hears(queen))
        second = await programs.hive(queen_url=queen.url)
        rival = await until(lambda: queen.service.telemetry.rival("h"))
        assert rival.url == first.url
        assert queen.service.telemetry.get_hive_state("h").url == second.url
        await until(lambda: {"rbee.queen.introductions", "rbee.hive.reporter"} <= {one.name for one in caplog.records})
        told = [one.getMessage() for one in caplog.records if one.name == "rbee.queen.introductions"]
        assert len(told) == 1
        assert f"in use by another hive, at '{second.url}'" in told[0]
        await programs.stop(second)
        await until(lambda: queen.service.telemetry.get_hive_state("h").url == first.url)
    finally:
        await programs.close()


async def test_a_hive_without_a_queen_reports_to_the_one_that_introduces_herself(programs: Programs) -> None:
    hive = await programs.hive()
    queen = await programs.queen()
    transport = Transport(hive.url, Credentials(TOKEN), SOME_HIVE)
    await HiveClient(transport).capabilities(queen.url)
    await until(lambda: queen.asked[PUSH] and hive.service.supervisor.queen_url == queen.url)
    await transport.close()


async def test_a_queen_that_was_given_wins_over_one_that_introduces_herself(programs: Programs) -> None:
    queen, stranger = await programs.queen(), await programs.queen()
    hive = await programs.hive(queen_url=queen.url)
    await until(lambda: queen.asked[PUSH])
    hive.service.capabilities(stranger.url)
    pushed = seq(queen)
    await until(lambda: seq(queen) > pushed + 3)
    assert not stranger.asked[PUSH]


@pytest.mark.parametrize("url", ["", "ftp://a", "http://a/path", "javascript:alert(1)", "http://"])
async def test_an_introduction_needs_an_address(programs: Programs, url: str) -> None:
    hive = await programs.hive()
    with pytest.raises(InvalidRequestError, match="no queen's address"):
        hive.service.capabilities(url)
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as http:
        answer = await http.get(f"{hive.url}/capabilities", params={"queen_url": url})
    assert answer.status_code == 400


async def test_a_queen_that_was_restarted_hears_her_hives_again(programs: Programs) -> None:
    queen = await programs.queen()
    await programs.hive("a", queen_url=queen.url)
    await programs.hive("b", queen_url=queen.url)
    await until(lambda: hears(queen, "a") and hears(queen, "b"))
    await programs.stop(queen)
    again = await programs.queen(port=queen.port)
    await until(lambda: hears(again, "a") and hears(again, "b"))
    assert again.service.telemetry.get_hive_state("a").devices is not None


async def test_a_queen_at_another_address_is_found_by_the_registry(programs: Programs) -> None:
    registry = await programs.registry()
    queen = await programs.queen(registry.url)
    await programs.hive(registry_url=registry.url)
    await until(lambda: hears(queen))
    await programs.stop(queen)
    again = await programs.queen(registry.url)
    await until(lambda: hears(again) and again.asked[PUSH])


async def test_a_second_queen_whom_the_registry_names_is_believed_while_the_first_still_answers(
    programs: Programs,
) -> None:
    registry = await programs.registry()
    queen = await programs.queen()
    hive = await programs.hive(registry_url=registry.url)
    hive.service.capabilities(queen.url)
    await until(lambda: queen.asked[PUSH])
    other = await programs.queen(registry.url)
    await until(lambda: other.asked[PUSH])


async def test_a_registry_that_was_restarted_hears_of_everybody_again_and_nobody_loses_the_queen(
    programs: Programs,
) -> None:
    registry = await programs.registry()
    queen = await programs.queen(registry.url)
    await programs.hive("a", registry_url=registry.url)
    await programs.hive("b", registry_url=registry.url)
    await until(lambda: hears(queen, "a") and hears(queen, "b"))
    await programs.stop(registry)
    for hive_id in "ab":
        before = seq(queen, hive_id)
        await until(lambda hive_id=hive_id, before=before: seq(queen, hive_id) > before + 3)
    again = await programs.registry(registry.port)

    async def ids() -> set[str]:
        return {one.component_id for one in await again.service.components()}

    async with asyncio.timeout(20):
        while await ids() != {"queen", "a", "b"}:
            await asyncio.sleep(0.02)
    assert len(queen.service.telemetry.list_all_hives()) == 2
    assert hears(queen, "a")


async def test_a_hive_that_nobody_knows_any_more_is_not_tried_for_ever(programs: Programs, nowhere: str) -> None:
    queen = await programs.queen()
    subscriptions = queen.service.subscriptions
    await register(queen, nowhere)
    assert subscriptions.follows("h", nowhere)
    queen.service.telemetry.remove_hive("h")
    await until(lambda: not subscriptions.follows("h", nowhere))


async def test_a_hive_that_the_registry_lists_is_tried_although_nothing_is_heard_of_it(
    programs: Programs, nowhere: str
) -> None:
    queen = await programs.queen()
    subscriptions = queen.service.subscriptions
    subscriptions.follow("leased", nowhere, leased=True)
    subscriptions.follow("other", nowhere)
    await until(lambda: not subscriptions.follows("other", nowhere))
    assert subscriptions.follows("leased", nowhere)
    subscriptions.release()
    subscriptions.follow("leased", nowhere)
    await until(lambda: not subscriptions.follows("leased", nowhere))
