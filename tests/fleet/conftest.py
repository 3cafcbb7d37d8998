"""What the tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from rbee.testing.colony import Colony

PYTHON = ("What is Python?", "Python is an interpreted, interactive, object-oriented programming language.")
SELF = ("Who are you?", "I am a tiny language model, made to test the software that runs me.")


def sdk(colony: Colony, prefix: str = "") -> openai.OpenAI:
    """The official client, which is to be used as a context manager."""
    base = f"{colony.queen_url}{prefix}/v1"
    return openai.OpenAI(base_url=base, api_key="unused", max_retries=0, timeout=60)


def user(text: str) -> list[dict[str, str]]:
    """A chat of one message."""
    return [{"role": "user", "content": text}]


def text_of(stream) -> str:
    """All text of a streamed chat."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def one_line(text: str) -> str:
    """The last line of a command's talk, without its prefix; there must be exactly one that is an error."""
    errors = [line for line in text.splitlines() if line.startswith("rbee: ")]
    assert len(errors) == 1, text
    assert text.splitlines()[-1] == errors[0], text
    assert "Traceback" not in text
    return errors[0]


@pytest.fixture
def client(shared_colony: Colony) -> Iterator[openai.OpenAI]:
    """The SDK, pointed at the shared colony."""
    with sdk(shared_colony) as found:
        yield found


@pytest.fixture(scope="module", autouse=True)
def emptied(shared_colony: Colony) -> None:
    """Each module finds the shared colony without the workers of the modules before it, in whichever order they run."""
    for worker in shared_colony.workers():
        shared_colony.run_job("worker_process_delete", worker_id=worker["worker_id"], force=True)


@pytest.fixture
def roomy_colony(shared_colony: Colony) -> Colony:
    """The shared colony with its threads free: workers that earlier tests have left are stopped."""
    for worker in shared_colony.workers():
        shared_colony.run_job("worker_process_delete", worker_id=worker["worker_id"], force=True)
    return shared_colony
