"""The queen's hand on the hives: jobs there, told and cancelled from here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from rbee.clients import Credentials, HiveClient, Transport
from rbee.clients.jobs import raise_for
from rbee.clients.who import the_hive
from rbee.contract.errors import NotFoundError, RbeeError, UnavailableError, UnreachableError
from rbee.contract.wire import HeldModels, JobEvent, LearnedMemory
from rbee.queen.remote_job import RemoteJob
from rbee.queen.tunnels import Roads
from rbee.telemetry import TelemetryRegistry

_NAMED = 20
"""Hives that a message names."""

_GRACE_S = 30.0

_STARTING = frozenset({"worker_spawn", "model_load"})
_TOLD = 256
"""Of what was learned of one model, at most so much."""


class Hives:
    """Jobs on all hives, each at its present address.

    Args:
        telemetry: knows the addresses.
        credentials: shown to the others.
        grace_s: how much longer than a hive may be silent a broken line is tried again.
        learned: what workers of a model have needed on a hive, by any name of the model.
        roads: lead to the hives.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        credentials: Credentials,
        grace_s: float = _GRACE_S,
        learned: Callable[[str, str], tuple[LearnedMemory, ...]] = lambda *_: (),
        roads: Roads | None = None,
    ) -> None:
        self._roads = roads or Roads()
        self._learned = learned
        self._telemetry = telemetry
        self._credentials = credentials
        self._grace_s = grace_s
        self._news = asyncio.Event()

    def choose(self, hive_id: str | None) -> str:
        """The hive of that id; without one, the only hive.

        Raises:
            NotFoundError: it is not known.
            UnavailableError: none is named and there is not exactly one.
        """
        found = self._online(hive_id)
        if found is not None:
            return found
        known = sorted(record.hive_id for record in self._telemetry.list_active_hives())
        more = len(known) - _NAMED
        names = ", ".join(known[:_NAMED]) + (f" and {more} more" if more > 0 else "") or "none"
        if hive_id is not None:
            raise NotFoundError(f"Hive {hive_id!r} is not online. Online: {names}.")
        raise UnavailableError(f"Name one hive with 'hive_id'. Online: {names}.", retry_after_s=2)

    def _online(self, hive_id: str | None) -> str | None:
        """What `choose` answers, None where it raises; costs the same however many hives there are."""
        if hive_id is not None and self._telemetry.is_hive_online(hive_id):
            return hive_id
        if hive_id in {None, "localhost"} and self._telemetry.online_hive_count() == 1:
            # The documents call the hive beside the queen localhost.
            return self._telemetry.list_active_hives()[0].hive_id
        return None

    def arrived(self) -> None:
        """A hive has told of itself: those who wait for one look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait_for(self, hive_id: str | None, within_s: float) -> str:
        """The hive of that id, or the only one, once it is online: after a restart of the queen none is yet.

        Args:
            hive_id: None for the only hive.
            within_s: how long to wait.

        Raises:
            UnavailableError: it did not come.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    news = self._news
                    # With each beat of any hive: it must cost nothing.
                    if (found := self._online(hive_id)) is not None:
                        return found
                    await news.wait()
        except TimeoutError as error:
            who = f"Hive {hive_id!r}" if hive_id is not None else "A hive"
            raise UnavailableError(
                f"{who} did not come online within {within_s:g} s of the restart. See that it runs, then start the "
                "job again."
            ) from error

    async def run(
        self,
        hive_id: str,
        operation: str,
        fields: Mapping[str, Any],
        tell: Callable[[JobEvent], None],
        *,
        correlation_id: str | None = None,
        key: str | None = None,
        patient: bool = False,
    ) -> dict[str, Any]:
        """Run a job on a hive to its end; cancelled, it is cancelled there too.

        Args:
            hive_id: a known hive.
            operation: of the hive.
            fields: its body.
            tell: given each event that is not the terminal one.
            correlation_id: of the request behind it, so that one id finds both jobs.
            key: names the job: asked for again, the hive's first one is followed instead of a second being started.
            patient: a line that breaks is taken up again behind the last event, for as long as the hive may be silent
                before it is down and a while longer.  Not for a request, whose caller waits.

        Returns:
            The job's result.

        Raises:
            NotFoundError: the hive is not known.
            RbeeError: what the job raised there.
        """
        self.address(hive_id)
        fields = self.told(hive_id, operation, fields)
        async with self._reach(hive_id) as hive:
            submitting = asyncio.ensure_future(
                # By name: at an address that was announced in error another hive may answer, who then refuses.
                hive.jobs.submit_as(operation, {**fields, "hive_id": hive_id}, correlation_id=correlation_id, key=key)
            )
            try:
                job_id = await asyncio.shield(submitting)
            except asyncio.CancelledError:
                # The hive may have taken it already, and then nobody else would end it.
                with contextlib.suppress(RbeeError, asyncio.CancelledError):
                    await hive.jobs.cancel(await submitting)
                raise
        patience_s = self._telemetry.limits.hive_down_s + self._grace_s if patient else 0.0
        job = RemoteJob(hive_id, job_id, lambda: self._reach(hive_id), patience_s)
        result: dict[str, Any] = {}

        def take(event: JobEvent) -> None:
            nonlocal result
            if event.type == "data" and event.action == "result":
                result = event.payload
            else:
                tell(event)

        try:
            raise_for(await job.follow(take))
        except asyncio.CancelledError:
            with contextlib.suppress(RbeeError):
                # Shielded: the hive must hear of it although we are on the way out.
                await asyncio.shield(job.cancel())
            raise
        return result

    def told(self, hive_id: str, operation: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body of a job as a hive gets it: of a start, with what the hive cannot know itself."""
        if operation not in _STARTING or not isinstance(fields.get("model"), str):
            return fields
        learned = self._learned(fields["model"], hive_id)[:_TOLD]
        # Hers is the only word on it.
        own = {name: value for name, value in fields.items() if name != "learned"}
        return {**own, "learned": msgspec.to_builtins(learned)} if learned else own

    async def catalog(self, hive_id: str) -> HeldModels:
        """Models that are whole on a hive's disk.

        Raises:
            RbeeError: it does not answer, or does not tell.
        """
        async with self._reach(hive_id) as hive:
            return await hive.catalog()

    @contextlib.asynccontextmanager
    async def _reach(self, hive_id: str) -> AsyncIterator[HiveClient]:
        """A line to a hive at its present address.  Jobs are few: nothing is kept that could be of an old address."""
        try:
            url = self.address(hive_id)
        except NotFoundError as error:
            raise UnreachableError(f"Hive {hive_id!r} has not been heard for long.") from error
        transport = Transport(await self._roads.to(hive_id, url), self._credentials, the_hive(hive_id))
        try:
            yield HiveClient(transport)
        finally:
            await transport.close()

    def address(self, hive_id: str) -> str:
        """Where a hive is now.

        Raises:
            NotFoundError: it is not known.
        """
        record = self._telemetry.get_hive_state(hive_id)
        if record is None or record.url is None:
            raise NotFoundError(f"Hive {hive_id!r} is not known.")
        return record.url
