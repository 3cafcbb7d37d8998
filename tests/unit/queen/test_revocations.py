"""What was revoked reaches a registry that shares no files with the queen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.clients import Credentials, RegistryClient, Transport
from rbee.clients.who import REGISTRY
from rbee.contract.errors import InvalidRequestError
from rbee.http.guard import Guard
from rbee.queen.revocations import RevocationTeller
from rbee.registry import RegistryService, make_app
from rbee.trust.identity import Identity
from unit.programs import TOKEN, Program, until

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")

PUT = "PUT /v1/registry/revoked"


def registry(identity: Identity, port: int = 0) -> Program:
    return Program(
        lambda url: RegistryService(MemoryPresenceStore(), 30, revoked=identity.revoke),
        lambda service: make_app(service, Guard(token=TOKEN, host="127.0.0.1")),
        port,
    )


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@contextlib.asynccontextmanager
async def telling(url: str, revoked: list[str], look_s: float = 60) -> AsyncIterator[RevocationTeller]:
    transport = Transport(url, Credentials(TOKEN), REGISTRY)
    teller = RevocationTeller(RegistryClient(transport), lambda: tuple(revoked), look_s)
    task = asyncio.create_task(teller.run())
    try:
        yield teller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await transport.close()


async def test_the_registry_hears_at_once_of_what_was_revoked_and_of_what_has_ended(identity: Identity) -> None:
    there = registry(identity)
    await there.start()
    revoked = ["a1"]
    try:
        async with telling(there.url, revoked) as teller:
            await until(lambda: identity.revoked == {0xA1})
            revoked.append("b2")
            teller.wake()
            await until(lambda: identity.revoked == {0xA1, 0xB2})
            revoked.remove("a1")
            teller.wake()
            await until(lambda: identity.revoked == {0xB2})
            assert there.asked[PUT] == 3
            teller.wake()
            teller.begin_anew()
            await until(lambda: there.asked[PUT] == 4)
    finally:
        await there.stop()


async def test_a_registry_that_was_away_is_told_when_it_is_back(identity: Identity) -> None:
    there = registry(identity)
    await there.start()
    await there.stop()
    async with telling(there.url, ["a1"], look_s=0.05):
        back = registry(identity, there.port)
        await back.start()
        try:
            await until(lambda: identity.revoked == {0xA1})
        finally:
            await back.stop()


async def test_a_registry_that_refuses_is_told_of_once_and_tried_again(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    there = registry(identity)
    await there.start()
    try:
        async with telling(there.url, ["no number"], look_s=0.01):
            await until(lambda: there.asked[PUT] > 2)
        assert identity.revoked == frozenset()
        assert caplog.text.count("does not hear what was revoked") == 1
        transport = Transport(there.url, Credentials(TOKEN), REGISTRY)
        try:
            with pytest.raises(InvalidRequestError):
                await RegistryClient(transport).revoked(("-1",))
        finally:
            await transport.close()
    finally:
        await there.stop()
