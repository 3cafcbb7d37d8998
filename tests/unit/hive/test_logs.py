"""The files of workers' output: bounded, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rbee.hive.logs import WorkerLogs
from rbee.hive.spawn import last_lines
from rbee.logs import private

MIB = 1024 * 1024
DAY = 86_400


def keeper(folder: Path, *, max_mb: int = 1, files: int = 3, keep: int = 50, days: float = 7, living=()) -> WorkerLogs:
    return WorkerLogs(folder, max_mb=max_mb, files=files, keep=keep, days=days, living=lambda: living)


def fill(path: Path, letter: str, size: int = MIB + 1) -> bytes:
    data = (letter * (size - 1) + "\n").encode("ascii")
    with path.open("ab") as file:
        file.write(data)
    return data


def named(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_small_file_stays_as_it_is(tmp_path: Path) -> None:
    logs = keeper(tmp_path)
    fill(logs.path("w"), "a", MIB)
    assert not logs.rotate("w")
    assert named(tmp_path) == {"w.log"}
    assert not logs.rotate("never there")


def test_a_large_one_is_continued_and_the_oldest_dropped(tmp_path: Path) -> None:
    logs = keeper(tmp_path, files=3)
    contents = {letter: fill(logs.path("w"), letter) for letter in "a" if not logs.rotate("w")}
    assert logs.rotate("w")
    for letter in "bcd":
        contents[letter] = fill(logs.path("w"), letter)
        assert logs.rotate("w")
    assert named(tmp_path) == {"w.log", "w.log.1", "w.log.2"}
    assert (tmp_path / "w.log").read_bytes() == b""
    assert (tmp_path / "w.log.1").read_bytes() == contents["d"]
    assert (tmp_path / "w.log.2").read_bytes() == contents["c"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("w.log.*")} == {0o600}


def test_one_file_alone_is_emptied(tmp_path: Path) -> None:
    logs = keeper(tmp_path, files=1)
    fill(logs.path("w"), "a")
    assert logs.rotate("w")
    assert named(tmp_path) == {"w.log"}


def test_fewer_files_than_before_are_kept_when_the_setting_says_so(tmp_path: Path) -> None:
    logs = keeper(tmp_path, files=4)
    for _ in range(5):
        fill(logs.path("w"), "a")
        logs.rotate("w")
    assert len(named(tmp_path)) == 4
    fewer = keeper(tmp_path, files=2)
    fill(fewer.path("w"), "b")
    assert fewer.rotate("w")
    assert named(tmp_path) == {"w.log", "w.log.1"}


def test_of_a_file_that_grew_without_end_the_newest_is_kept(tmp_path: Path) -> None:
    logs = keeper(tmp_path)
    fill(logs.path("w"), "a", 5 * MIB)
    last = fill(logs.path("w"), "z", 100)
    assert logs.rotate("w")
    kept = (tmp_path / "w.log.1").read_bytes()
    assert len(kept) == 2 * MIB
    assert kept.endswith(last)


def test_what_a_killed_hive_left_half_copied_does_no_harm(tmp_path: Path) -> None:
    logs = keeper(tmp_path)
    (tmp_path / "w.log.part").write_bytes(b"half")
    data = fill(logs.path("w"), "a")
    assert logs.rotate("w")
    assert named(tmp_path) == {"w.log", "w.log.1"}
    assert (tmp_path / "w.log.1").read_bytes() == data


def test_a_copy_that_fails_cuts_nothing_and_is_said_once(tmp_path: Path, caplog) -> None:
    logs = keeper(tmp_path)
    data = fill(logs.path("w"), "a")
    (tmp_path / "w.log.part").mkdir()
    assert [logs.rotate("w") for _ in range(3)] == [False] * 3
    assert logs.path("w").read_bytes() == data
    assert caplog.text.count("cannot be copied") == 1


def test_a_process_writes_on_through_rotations_and_no_line_is_lost(tmp_path: Path) -> None:
    code = """
import os, sys
for number in range(40_000):
    os.write(1, b"%07d " % number + b"x" * 100 + b"\\n")
    if number % 10_000 == 9_999:
        sys.stderr.write("full\\n")
        sys.stdin.readline()
"""
    logs = keeper(tmp_path, files=100)
    with (
        open(logs.path("w"), "ab", opener=private) as output,
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.PIPE
        ) as process,
    ):
        for _ in range(4):
            assert process.stderr.readline() == b"full\n"
            assert logs.rotate("w")
            process.stdin.write(b"\n")
            process.stdin.flush()
        assert process.wait(60) == 0
    files = sorted(tmp_path.glob("w.log.*"), key=lambda path: -int(path.name.rpartition(".")[2]))
    assert len(files) == 4
    numbers = [int(line[:7]) for path in [*files, logs.path("w")] for line in path.read_bytes().splitlines()]
    assert numbers == list(range(40_000))


def aged(folder: Path, name: str, days: float, now: float) -> None:
    path = folder / name
    path.write_text("x", encoding="ascii")
    os.utime(path, (now - days * DAY, now - days * DAY))


def test_logs_of_workers_that_have_ended_are_deleted_by_age_and_number(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    for name, days in {"old": 8, "a": 1, "b": 2, "c": 3, "alive": 30}.items():
        aged(tmp_path, f"{name}.log", days, now)
        aged(tmp_path, f"{name}.log.1", days + 1, now)
    aged(tmp_path, "c.log.part", 3, now)
    dropped = keeper(tmp_path, keep=2).prune({"alive"}, now)
    assert sorted(dropped) == ["c", "old"]
    assert named(tmp_path) == {f"{name}.log{end}" for name in ("a", "b", "alive") for end in ("", ".1")}
    assert keeper(tmp_path, keep=2, days=1.5).prune({"alive"}, now) == ["b"]
    assert keeper(tmp_path, keep=0).prune((), now) == ["a", "alive"]


def test_files_that_are_no_workers_stay(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    names = {"colony.log", "colony.log.1", "queen.log", "Hive.log.part", "registry.log", "notes.txt", "w.logbook"}
    for name in names:
        aged(tmp_path, name, 900, now)
    (tmp_path / "folder.log").mkdir()
    (tmp_path / "link.log").symlink_to(tmp_path / "notes.txt")
    assert keeper(tmp_path, keep=0).prune((), now) == []
    assert named(tmp_path) == names | {"folder.log", "link.log"}


def test_a_folder_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    assert keeper(tmp_path / "later").prune((), 0) == []


def test_a_worker_whose_id_only_begins_like_a_program_s_name_is_a_worker(tmp_path: Path) -> None:
    aged(tmp_path, "hive-attic.log", 900, 1_800_000_000.0)
    assert keeper(tmp_path).prune((), 1_800_000_000.0) == ["hive-attic"]


async def test_looking_after_them_rotates_those_of_the_living_and_prunes_the_others(tmp_path: Path) -> None:
    logs = keeper(tmp_path, keep=0, living=("w",))
    data = fill(logs.path("w"), "a")
    fill(logs.path("gone"), "a")
    running = asyncio.create_task(logs.run())
    try:
        async with asyncio.timeout(20):
            while named(tmp_path) != {"w.log", "w.log.1"} or logs.path("w").stat().st_size:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert (tmp_path / "w.log.1").read_bytes() == data


def test_the_last_words_are_found_in_the_older_part_when_the_new_one_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    assert last_lines(log) == ""
    (tmp_path / "w.log.1").write_text("one\n\ntwo\nthree\nfour\n", encoding="utf-8")
    log.write_text("\n", encoding="utf-8")
    assert last_lines(log) == "two | three | four"
    log.write_text("five\n", encoding="utf-8")
    assert last_lines(log) == "five"


def test_new_files_are_for_this_user_alone(tmp_path: Path) -> None:
    with open(tmp_path / "w.log", "ab", opener=private):
        assert stat.S_IMODE((tmp_path / "w.log").stat().st_mode) == 0o600


@pytest.mark.parametrize("worker_id", ["w.log", "a.log.1", "x.part"])
def test_odd_ids_keep_their_own_files(tmp_path: Path, worker_id: str) -> None:
    logs = keeper(tmp_path, keep=0, living=(worker_id,))
    fill(logs.path(worker_id), "a")
    logs.rotate(worker_id)
    before = named(tmp_path)
    assert logs.prune((worker_id,), 2e9) == []
    assert named(tmp_path) == before
