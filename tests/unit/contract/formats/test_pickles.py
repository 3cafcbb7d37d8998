"""Pickles are known by what they hold, whatever they are called."""

import collections
import io
import os
import pickle
import pickletools
import random
import tarfile
import zipfile

import pytest
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import read_model, refuse_pickle
from rbee.contract.formats.pickles import is_pickle
from unit.contract.formats.building import entry, safetensors, small_gguf, small_safetensors

NAMES = ["m.bin", "m.pt", "m.gguf", "m.safetensors", "m", "README.md"]


class Evil:
    def __reduce__(self):
        return (os.system, ("touch /tmp/never",))


def refused(path):
    with pytest.raises(ModelFileError, match=rf"'{path}' is a Python pickle.*take a GGUF or safetensors edition"):
        refuse_pickle(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("content", [{"w": [1.5]}, Evil(), collections.OrderedDict(a=1), b"x" * 100_000, [Evil()] * 50])
def test_a_pickle_of_any_protocol_is_refused_under_any_name(tmp_path, name, protocol, content):
    (tmp_path / name).write_bytes(pickle.dumps(content, protocol=protocol))
    refused(tmp_path / name)


@pytest.mark.parametrize("name", ["m.gguf", "m.safetensors"])
def test_a_pickle_is_refused_before_it_is_read_as_a_model(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelFileError, match="is a Python pickle"):
        read_model(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("members", [["archive/data.pkl", "archive/version"], ["archive/version", "x/y/data.pkl"]])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zipped_pickle_is_refused_wherever_it_stands_in_the_archive(tmp_path, name, members, compression):
    with zipfile.ZipFile(tmp_path / name, "w", compression) as archive:
        for member in members:
            archive.writestr(member, pickle.dumps({}))
        archive.comment = b"c" * 1000
    refused(tmp_path / name)


def test_a_pickle_behind_a_thousand_members_is_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for number in range(1000):
            archive.writestr(f"archive/data/{number}", b"0" * 100)
        archive.writestr("archive/data.pkl", b"")
    refused(tmp_path / "m.zip")


def test_a_pickle_in_an_archive_with_the_marks_of_a_large_one_is_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for name in ("v", "a.pkl", "w"):
            archive.writestr(name, b"")
    data = (tmp_path / "m.zip").read_bytes()
    end = data.rindex(b"PK\5\6")
    # Where these marks stand; what is in them is not looked at.
    (tmp_path / "m.zip").write_bytes(data[:end] + b"PK\6\6" + bytes(52) + b"PK\6\7" + bytes(16) + data[end:])
    refused(tmp_path / "m.zip")


def test_a_pickle_without_a_mark_that_begins_harmlessly_is_refused(tmp_path):
    (tmp_path / "m.bin").write_bytes(b"N0" * 100 + b"cos\nsystem\n(S'true'\ntR." + bytes(9000))
    refused(tmp_path / "m.bin")
    (tmp_path / "m.bin").write_bytes(b"N0" * 5000 + b"cos\nsystem\n(S'true'\ntR.")
    refused(tmp_path / "m.bin")


def plain(content):
    """Without the mark, which would give it away."""
    return pickle.dumps(content, protocol=1)


@pytest.mark.parametrize(
    "start",
    [
        b"GGUF" + bytes(5) + b"0",
        # A head with version 3, 153,632 tensors and 856 keys.
        b"GGUF\3\0\0\0" + b" X\2\0\0\0\0\0" + b"X\3\0\0\0\0\0\0",
        b"G" + bytes(7) + b"{0",
        b"\x80\x02X\5\0\0\0\0{abc0",
        b"X\xa0\x86\1\0" + b"x" * 100_000 + b"0",
        b"V" + b"x" * 100_000 + b"\n0",
        b"I0x10\n0",
        b"I010\n0",
        b"I\0\n0",
        b"(0N0(1",
        b"N.",
        b"N" * 1000,
    ],
)
def test_a_pickle_is_refused_whatever_its_beginning_looks_like(tmp_path, start):
    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            raise LookupError(name)

    content = start + plain(Evil())
    stream = io.BytesIO(content)
    if start == b"N.":
        assert Reader(stream).load() is None
    with pytest.raises(LookupError, match="system"):
        Reader(stream).load()
    (tmp_path / "m.gguf").write_bytes(content)
    refused(tmp_path / "m.gguf")


@pytest.mark.parametrize("filling", [b"N" * 300_000, b"V" + b"x" * (17 << 20) + b"\n"])
def test_a_pickle_that_goes_on_for_longer_than_anybody_looks_is_refused(tmp_path, filling):
    (tmp_path / "m.bin").write_bytes(filling + plain(Evil()))
    refused(tmp_path / "m.bin")


class CalledError(Exception):
    """Something that a pickle names has been called."""


class Thing:
    def __new__(cls, *_args, **_options):
        raise CalledError


class Watched(pickle.Unpickler):
    def find_class(self, module, name):
        return Thing

    def persistent_load(self, pid):
        return pid


def test_whatever_calls_something_is_refused():
    """Instructions at random, against the reader that would carry them out."""
    chance = random.Random(5)
    frequent = [one for one in pickletools.opcodes if one.name in {"GLOBAL", "INST", "MARK", "TUPLE", "EMPTY_TUPLE"}]
    frequent += [one for one in pickletools.opcodes if one.name in {"REDUCE", "STACK_GLOBAL", "OBJ", "NEWOBJ"}]
    arguments = {
        "decimalnl_short": [b"1\n", b"0x1\n", b"010\n", b"\n"],
        "decimalnl_long": [b"1\n", b"1L\n", b"+1\n"],
        "floatnl": [b".5\n", b"inf\n"],
        "stringnl": [b"'a'\n", b'"b"\n'],
        "stringnl_noescape": [b"a\n", b"\n"],
        "unicodestringnl": [b"os\n", b"\n"],
        "stringnl_noescape_pair": [b"os\nx.y\n"],
        "uint1": [b"\0", b"\2"],
        "uint2": [b"\0\0"],
        "int4": [bytes(4)],
        "uint4": [bytes(4)],
        "uint8": [bytes(8)],
        "float8": [bytes(8)],
    }
    widths = {"1": 1, "4": 4, "8": 8}
    called = 0
    for _ in range(20_000):
        content = b""
        for opcode in (chance.choice(chance.choice([frequent, pickletools.opcodes])) for _ in range(8)):
            kind = opcode.arg.name if opcode.arg else ""
            counted = [n.to_bytes(widths[kind[-1]], "little") + b"a" * n for n in (0, 2)] if kind[-1:] in widths else []
            content += opcode.code.encode("latin-1") + chance.choice(arguments.get(kind, counted or [b""]))
        try:
            Watched(io.BytesIO(content)).load()
        except CalledError:
            called += 1
            assert is_pickle(io.BytesIO(content), len(content)), content
        except Exception:
            # Most of them are no pickle, for any reason there is.
            continue
    assert called > 100


def test_the_tar_of_an_older_library_is_refused(tmp_path):
    with tarfile.open(tmp_path / "m.gguf", "w") as archive:
        for name in ("sys_info", "pickle", "tensors"):
            data = pickle.dumps({}, protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    refused(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        small_gguf(),
        small_safetensors(),
        b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n",
        b"# A model\n\nIts card.\n",
        b'{"a": 1}',
        b"config\nname\n.\n",
        b"c.log\nfoo\n.env\n",
        b"I am a model\n",
        b"Some text.\n.",
        b"\0" * 5000,
        b"0" * 100,
        b"N" * 100,
        b"(" * 100,
        b"GGUF",
        b"\x82\1" * 50,
        b"(canvas\nwidth\n",
        b"<html></html>",
    ],
)
def test_what_is_no_pickle_passes(tmp_path, content):
    (tmp_path / "m.bin").write_bytes(content)
    refuse_pickle(tmp_path / "m.bin")


def test_bytes_at_random_pass():
    chance = random.Random(29)
    for _ in range(5000):
        content = chance.randbytes(chance.choice([10, 100, 1000, 9000]))
        if not content.startswith(b"\x80"):
            assert not is_pickle(io.BytesIO(content), len(content))


def test_a_good_file_whose_length_looks_like_the_mark_of_a_pickle_passes(tmp_path):
    seen = 0
    for length in (0x0280, 0x0380, 0x0480, 0x0580, 0x7D0280, 0x4B0280, 0x8E0280):
        head = safetensors({"w": entry("U8", (1,), 0, 1)})[8:].ljust(length)
        (tmp_path / "m.safetensors").write_bytes(safetensors({}, b"\0", head=head))
        refuse_pickle(tmp_path / "m.safetensors")
        assert read_model(tmp_path / "m.safetensors").figures.parameters == 1
        seen += 1
    assert seen == 7


def test_archives_without_a_pickle_pass_here_and_are_no_models(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.zip", "a.zip")
    for name in ("a.zip", "a.tar"):
        refuse_pickle(tmp_path / name)
        with pytest.raises(ModelFileError, match="does not begin with the letters GGUF"):
            read_model(tmp_path / name)


def test_a_zip_bomb_is_never_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.gguf", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}", b"\0" * 1_000_000)
    refuse_pickle(tmp_path / "m.gguf")


@pytest.mark.parametrize("cut", [4, 20, 31, 40, 100, -1, -10, -21, -22, -30])
def test_a_cut_archive_is_looked_through_without_harm(tmp_path, cut):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("a/version", "3")
        archive.writestr("a/data", "x" * 50)
    whole = (tmp_path / "m.zip").read_bytes()
    (tmp_path / "m.zip").write_bytes(whole[:cut])
    refuse_pickle(tmp_path / "m.zip")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"gone\.gguf' cannot be read: No such file"):
        refuse_pickle(tmp_path / "gone.gguf")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelFileError, match="is no regular file"):
        refuse_pickle(tmp_path / "pipe.gguf")
