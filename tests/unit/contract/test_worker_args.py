"""The command line of a worker process."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.worker_args import LoadReport, WorkerArgs, parse

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1)
PORT = st.integers(0, 65535)


@given(
    st.builds(
        WorkerArgs,
        worker_id=TEXT,
        model=TEXT,
        engine=st.none() | TEXT,
        device=TEXT,
        port=PORT,
        socket_fd=st.none() | st.integers(0, 100),
        parent_pid=st.none() | st.integers(1, 2**22),
        queen_url=st.none() | TEXT,
        variant=st.none() | st.just('{"model_id": "a b", "files": []}'),
        threads=st.integers(1, 64),
        slots=st.none() | st.integers(1, 64),
        context_length=st.none() | st.integers(1, 10**6),
        options=st.none() | st.just('{"cache_mb": 5, "adapter": "a b"}'),
    )
)
def test_what_a_hive_writes_a_worker_reads(args: WorkerArgs) -> None:
    assert parse(args.to_argv()) == args


def test_defaults_are_left_out_of_the_command_line() -> None:
    assert WorkerArgs(worker_id="w", model="m").to_argv() == ["--worker-id=w", "--model=m"]


def test_the_documented_flags_are_taken_with_a_space() -> None:
    line = "--worker-id w --model m --device GPU-0 --port 8080 --queen-url http://q --registry-url http://r"
    found = parse(line.split())
    assert (found.worker_id, found.device, found.port) == ("w", "GPU-0", 8080)
    assert (found.queen_url, found.registry_url) == ("http://q", "http://r")


@pytest.mark.parametrize(
    "line", ["--model m", "--worker-id w --model m --port high", "--worker-id w --model m --wings 2"]
)
def test_nonsense_ends_with_usage(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(line.split())
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_line_of_the_pipe_says_only_what_is_new() -> None:
    assert msgspec.json.encode(LoadReport(stage="reading")) == b'{"stage":"reading"}'
    assert msgspec.json.encode(LoadReport(ready=True)) == b'{"ready":true}'
