"""``rbee top``."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

import click
import msgspec

from rbee.cli.console import table_console
from rbee.cli.context import Context, current
from rbee.cli.exits import OK
from rbee.cli.keys import pressed
from rbee.cli.live import LiveColony
from rbee.cli.live_table import render
from rbee.cli.locate import find_queen, queen_url
from rbee.cli.loop import run_async
from rbee.clients import QueenClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import RbeeError

_LISTS_S = 2.0
_FRAMES = 4
_RETRY_S = 1.0
_ANSWER_S = 5.0
_SILENCE_S = 10.0


@click.command("top")
@click.option("--once", is_flag=True, help="Print one snapshot and end, as where stdout is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print one snapshot as JSON and end.")
def command(*, once: bool, as_json: bool) -> int:
    """Watch hives and workers live: processors, memory, GPUs, slots, tokens a second.

    q ends, and so does Ctrl+C (exit code 130).  While the queen is away the last figures stay, with their age.
    """
    context = current()
    url = queen_url(context)
    live = LiveColony()
    if once or as_json or not sys.stdout.isatty() or table_console().is_dumb_terminal:
        run_async(_snapshot(context, url, live))
        _print(live, as_json=as_json)
        return OK
    run_async(_show(context, url, live))
    return OK


async def _snapshot(context: Context, url: str, live: LiveColony) -> None:
    transport = Transport(url, context.credentials(), QUEEN, timeout_s=_ANSWER_S)
    try:
        await _lists(QueenClient(transport), live)
    finally:
        await transport.close()


def _print(live: LiveColony, *, as_json: bool) -> None:
    now = time.monotonic()
    if as_json:
        queen = live.colony
        about = queen and {"url": queen.url, "version": queen.version, "uptime_s": queen.uptime_s}
        told = {"queen": about, "hives": live.hives(now), "workers": live.workers(now)}
        click.echo(msgspec.json.encode(told).decode())
        return
    table_console().print(render(live, now))


async def _show(context: Context, url: str, live: LiveColony) -> None:
    from rich.live import Live

    quit_asked = asyncio.Event()

    def on_key(key: str) -> None:
        if key in {"q", "Q", "\x04"}:
            quit_asked.set()

    await _snapshot(context, url, live)
    feed = asyncio.create_task(_feed(context, url, live))
    ended = asyncio.create_task(quit_asked.wait())
    try:
        with (
            Live(console=table_console(), screen=True, auto_refresh=False) as screen,
            pressed(on_key),
        ):
            while not (quit_asked.is_set() or feed.done()):
                screen.update(render(live, time.monotonic(), hint="q ends"), refresh=True)
                await asyncio.wait([feed, ended], timeout=1 / _FRAMES, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        if not feed.done():
            feed.cancel()
        await asyncio.gather(ended, return_exceptions=True)
    with contextlib.suppress(asyncio.CancelledError):
        # It never ends by itself: a defect is not to be hidden.
        await feed


async def _feed(context: Context, url: str, live: LiveColony) -> None:
    """Keep the picture fresh for ever, over restarts of the queen."""
    while True:
        transport = Transport(url, context.credentials(), QUEEN, timeout_s=_ANSWER_S, silence_s=_SILENCE_S)
        try:
            await _listen(transport, live)
        except RbeeError as error:
            live.away(error.message, time.monotonic())
        finally:
            await transport.close()
        await asyncio.sleep(_RETRY_S)
        # She may have come back at another address.
        with contextlib.suppress(RbeeError):
            found = await asyncio.to_thread(find_queen, context)
            url = found or url


async def _listen(transport: Transport, live: LiveColony) -> None:
    """The lists every few seconds and when something new is heard of, the stream in between."""
    queen = QueenClient(transport)
    loop = asyncio.get_running_loop()
    await _lists(queen, live)
    due = loop.time() + _LISTS_S
    async with transport.stream("GET", "/v1/heartbeats/stream", answer_s=_ANSWER_S) as events:
        async for event in events:
            is_new = live.told(event.data, time.monotonic())
            if is_new or loop.time() >= due:
                await _lists(queen, live)
                due = loop.time() + _LISTS_S
    live.away("Her stream has ended.", time.monotonic())


async def _lists(queen: QueenClient, live: LiveColony) -> None:
    info, workers = await queen.info(), await queen.workers()
    live.listed(info, workers, time.monotonic())
