"""Logs that are cut while they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.logs import Rotation
from rbee.logs.reading import LogFiles, LogPlace, last_lines, whole_characters

PLENTY = 1 << 20


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path, "w")


def write(files: LogFiles, text: str, number: int | None = None) -> None:
    path = files.current if number is None else files.current.with_name(f"w.log.{number}")
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def cut(files: LogFiles) -> None:
    """What is done with a log that has grown too large."""
    rotation = Rotation(max_mb=1, files=9)
    rotation.max_bytes = files.current.stat().st_size - 1
    assert rotation.rotate(files.current)


def everything(files: LogFiles) -> bytes:
    return b"".join(block for block in files.everything() if isinstance(block, bytes))


def test_all_files_are_one_log_the_oldest_first(files: LogFiles) -> None:
    write(files, "1\n", 2)
    write(files, "2\n", 1)
    write(files, "3\n")
    write(files, "no part of it\n", 4)
    assert everything(files) == b"1\n2\n3\n"


@pytest.mark.parametrize(
    ("lines", "told"), [(1, b"4\n"), (2, b"3\n4\n"), (3, b"2\n3\n4\n"), (9, b"1\n2\n3\n4\n"), (0, b"1\n2\n3\n4\n")]
)
def test_the_last_lines_may_stand_in_an_older_file(files: LogFiles, lines: int, told: bytes) -> None:
    write(files, "1\n2\n", 1)
    write(files, "3\n4\n")
    assert files.tail(lines, PLENTY).data == told


def test_the_last_lines_of_a_long_log_are_found(files: LogFiles) -> None:
    write(files, "".join(f"line {number}\n" for number in range(50_000)))
    assert files.tail(2, PLENTY).data == b"line 49998\nline 49999\n"


def test_of_a_line_that_is_too_long_the_end_is_told_and_that_something_is_missing(files: LogFiles) -> None:
    write(files, "x" * 1000 + "end\n")
    part = files.tail(5, 10)
    assert (part.data, part.left_out) == (b"xxxxxxend\n", None)


def test_a_log_that_is_not_there_is_empty(files: LogFiles) -> None:
    assert files.paths() == []
    assert files.tail(5, PLENTY).data == b""
    assert files.after(LogPlace(0, 100), PLENTY).data == b""


def test_what_was_written_since_is_told_once(files: LogFiles) -> None:
    write(files, "old\n")
    place = files.tail(1, PLENTY).place
    assert files.after(place, PLENTY).data == b""
    write(files, "new\n")
    part = files.after(place, PLENTY)
    assert part.data == b"new\n"
    assert files.after(part.place, PLENTY).data == b""


def test_nothing_is_lost_when_the_log_is_cut_in_between(files: LogFiles) -> None:
    write(files, "seen\n")
    place = files.end()
    write(files, "before the cut\n")
    cut(files)
    assert files.current.stat().st_size == 0
    write(files, "behind it\n")
    part = files.after(place, PLENTY)
    assert part.data == b"before the cut\nbehind it\n"
    write(files, "more\n")
    assert files.after(part.place, PLENTY).data == b"more\n"


def test_nothing_is_lost_when_it_is_cut_twice_in_between(files: LogFiles) -> None:
    write(files, "earlier\n")
    cut(files)
    write(files, "seen\n")
    place = files.end()
    for text in ("first", "second", "third"):
        write(files, f"{text}, long enough to be more than what comes behind the cut\n")
        if text != "third":
            cut(files)
    told = files.after(place, PLENTY).data.decode()
    assert [line.partition(",")[0] for line in told.splitlines()] == ["first", "second", "third"]


def test_a_copy_whose_original_is_not_yet_cut_is_not_told_twice(files: LogFiles) -> None:
    write(files, "seen\n")
    place = files.end()
    write(files, "new\n")
    write(files, "seen\nnew\n", 1)
    part = files.after(place, PLENTY)
    assert part.data == b"new\n"
    files.current.write_bytes(b"")
    write(files, "on\n")
    assert files.after(part.place, PLENTY).data == b"on\n"


def test_a_log_that_was_cut_without_a_copy_is_told_from_its_new_beginning(files: LogFiles) -> None:
    write(files, "a long line that is gone\n")
    place = files.end()
    files.current.write_bytes(b"anew\n")
    assert files.after(place, PLENTY).data == b"anew\n"


def test_of_too_much_the_newest_is_told_with_how_much_is_left_out(files: LogFiles) -> None:
    place = files.end()
    write(files, "0123456789")
    part = files.after(place, 4)
    assert (part.data, part.left_out) == (b"6789", 6)


def test_a_link_is_not_followed(files: LogFiles, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    files.current.symlink_to(secret)
    assert files.tail(5, PLENTY).data == b""
    assert everything(files) == b""


@pytest.mark.parametrize("place", [LogPlace(0, 0), LogPlace(123456, 99)])
def test_a_place_is_read_as_it_was_written(place: LogPlace) -> None:
    assert LogPlace.parse(str(place)) == place


@pytest.mark.parametrize(
    "text", ["", "-", "1", "1-", "-1", "1-2-3", "a-b", "1--2", "1-" + "9" * 30, "\u0661-\u0662", " 1-2"]
)
def test_anything_else_is_no_place(text: str) -> None:
    assert LogPlace.parse(text) is None


@pytest.mark.parametrize("data", [b"", b"a", b"a\n", b"\n\n", b"a\nb", b"a\nb\n", b"a\n\nb\n"])
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_last_lines_are_those_of_the_text(data: bytes, lines: int) -> None:
    wanted = data.split(b"\n")
    ended = wanted[-1] == b""
    kept = (wanted[:-1] if ended else wanted)[-lines:]
    assert last_lines(data, lines) == b"\n".join(kept) + (b"\n" if ended and kept else b"")


@pytest.mark.parametrize("char", ["é", "€", "🐝"])
def test_a_character_that_is_not_yet_whole_waits(char: str) -> None:
    raw = char.encode()
    assert whole_characters(b"x" + raw) == b"x" + raw
    for length in range(1, len(raw)):
        assert whole_characters(b"x" + raw[:length]) == b"x"


def test_what_is_no_text_is_left_as_it_is() -> None:
    assert whole_characters(b"\xff\x80\x80\x80\x80") == b"\xff\x80\x80\x80\x80"
    assert whole_characters(b"ab") == b"ab"
    assert whole_characters(b"") == b""
