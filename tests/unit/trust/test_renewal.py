from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rbee.contract.errors import UnreachableError
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role
from rbee.trust.renewal import Renewal, Renewed

DAY = timedelta(days=1)


class Case:
    """A hive, and an authority that answers when it is asked."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "ca")
        self.authority.open()
        self.hive = Identity(folder / "h")
        key, request = self.hive.ask()
        self.hive.take(key, self.signed(request).certificate, self.authority.roots_pem())
        self.asked = asyncio.Event()
        self.fails = 0
        self.now = datetime.now(UTC)
        self.outdated = False

    def signed(self, request: bytes) -> Renewed:
        made = self.authority.issue(request, Role.HIVE, "attic", [], DAY)
        return Renewed(made.certificate, self.authority.roots_pem(), self.authority.issued.revoked())

    async def ask(self, request: bytes) -> Renewed:
        if self.fails:
            self.fails -= 1
            raise UnreachableError("The queen is away.")
        self.asked.set()
        self.outdated = False
        return self.signed(request)

    async def run(self) -> None:
        """Until the hive has another certificate."""
        before = self.hive.peer.serial
        renewal = Renewal(
            self.hive, self.ask, lambda: self.now, look_s=0.005, retry_s=0.005, outdated=lambda: self.outdated
        )
        task = asyncio.create_task(renewal.run())
        async with asyncio.timeout(10):
            await self.asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert self.hive.peer.serial != before


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


async def test_at_half_of_its_time_it_is_renewed_though_the_queen_was_away(case: Case) -> None:
    case.now += timedelta(hours=13)
    case.fails = 2
    await case.run()
    assert case.fails == 0


async def test_what_was_revoked_is_heard_with_a_renewal(case: Case) -> None:
    other = case.authority.issue(case.hive.ask()[1], Role.HIVE, "cellar", [], DAY)
    case.authority.issued.revoke(Role.HIVE, "cellar", "")
    case.outdated = True
    await case.run()
    assert case.hive.revoked == {other.serial}
