"""One coroutine run to its end in a command."""

import asyncio

import pytest
from rbee.cli.loop import run_async


def ended_by(error):
    """A coroutine that is struck by a Ctrl+C elsewhere in the loop, and ends with that error when it is cancelled."""

    async def strike():
        raise KeyboardInterrupt

    async def work():
        striking = asyncio.ensure_future(strike())
        try:
            await asyncio.wait({striking})
        except asyncio.CancelledError:
            raise error from None

    return work()


def test_what_the_coroutine_returns_is_returned():
    async def work():
        return 7

    assert run_async(work()) == 7


def test_an_interrupt_inside_a_task_group_prints_no_traceback(caplog):
    with pytest.raises(KeyboardInterrupt):
        run_async(ended_by(BaseExceptionGroup("of a task group", [KeyboardInterrupt()])))
    assert caplog.messages == []


def test_another_error_of_an_interrupted_coroutine_is_told(caplog):
    with pytest.raises(KeyboardInterrupt):
        run_async(ended_by(BaseExceptionGroup("of a task group", [KeyboardInterrupt(), ValueError("lost")])))
    assert "unhandled exception during asyncio.run() shutdown" in caplog.text
