"""Records of running programs."""

import msgspec
import pytest
from rbee.cli.locks import FileLock
from rbee.cli.records import RecordFile


class Note(msgspec.Struct, frozen=True):
    pid: int


@pytest.fixture
def files(tmp_path):
    def make():
        return RecordFile(tmp_path / "p.json", FileLock(tmp_path / "p.lock"), Note)

    return make


def test_a_record_counts_while_its_writer_holds_the_lock(files):
    writer, reader = files(), files()
    assert writer.life.exclusive(0)
    writer.write(Note(7))
    assert reader.read() == Note(7)
    writer.life.release()
    assert reader.read() is None
    assert reader.peek() == Note(7)


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', b"\xff"])
def test_a_broken_record_is_none(files, content):
    writer = files()
    assert writer.life.exclusive(0)
    writer.record.write_bytes(content)
    assert files().read() is None
    writer.life.release()


def test_without_the_folder_nobody_runs_and_nothing_is_made(tmp_path):
    nowhere = tmp_path / "no"
    assert RecordFile(nowhere / "p.json", FileLock(nowhere / "p.lock"), Note).read() is None
    assert not nowhere.exists()
