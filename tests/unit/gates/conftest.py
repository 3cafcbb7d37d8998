"""A line between a gate and the queen, for each test that wants one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from unit.gates.line import PATIENCE_S, Line


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = Line()
    await made.open()
    yield made
    made.gate.close()
    made.hers.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await made.cut.wait()
