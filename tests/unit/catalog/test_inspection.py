"""Looking into a model's files in a process of its own."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import struct
import sys
import time
from pathlib import Path

import psutil
import pytest
from rbee.catalog import inspect_child
from rbee.catalog.inspection import Inspector
from rbee.contract.errors import ModelFileError, UnavailableError
from rbee.contract.formats import read_gguf, read_model
from unit.contract.formats.building import DEMO, TEXT, U32, folder_of, gguf, pair, small_gguf, small_safetensors

PATIENCE_S = 30


def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Another program in the place of the one that reads, with the same arguments."""
    script = tmp_path / "child.py"
    script.write_text(code)
    monkeypatch.setattr(inspect_child, "__file__", str(script))


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_a_file_tells_the_same_as_in_this_process():
    assert await Inspector().head(DEMO) == read_model(DEMO)


async def test_a_folder_tells_the_same_as_in_this_process(tmp_path):
    folder = folder_of(tmp_path / "m", tokenizer_config__json={"chat_template": "é"})
    assert await Inspector().head(folder) == read_model(folder)


async def test_a_relative_path_counts_from_this_programs_folder(tmp_path, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(small_gguf())
    monkeypatch.chdir(tmp_path)
    assert (await Inspector().head(Path("m.gguf"))).figures.architecture == "llama"


async def test_a_name_of_any_bytes_can_be_looked_into(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff \n.gguf")
    path.write_bytes(small_gguf())
    assert (await Inspector().head(path)).figures.architecture == "llama"
    path.write_bytes(b"<html>")
    with pytest.raises(ModelFileError, match=r"\\udcff \\n\.gguf'.*letters GGUF"):
        await Inspector().head(path)


async def test_the_first_bytes_of_a_file_tell_what_stands_in_them(tmp_path):
    data = DEMO.read_bytes()
    head = await Inspector().head_of_bytes("gguf", data[:1000])
    assert head.figures.context_length == 2048
    assert head.needed_bytes is None
    with DEMO.open("rb") as file:
        assert await Inspector().head_of_bytes("gguf", data[:300_000]) == read_gguf(file, None)
    told = await Inspector().head_of_bytes("safetensors", small_safetensors()[:10])
    assert told.needed_bytes == len(small_safetensors()) - 20


async def test_first_bytes_that_are_none_are_refused_by_name():
    with pytest.raises(ModelFileError, match=r"'org/repo/m\.gguf' cannot be used: it does not begin with"):
        await Inspector().head_of_bytes("gguf", b"<html>", name="org/repo/m.gguf")
    with pytest.raises(ModelFileError, match="format 'onnx', whose heads are not known"):
        await Inspector().head_of_bytes("onnx", b"")


async def test_a_damaged_file_and_a_pickle_are_refused_in_the_readers_words(tmp_path):
    (tmp_path / "cut.gguf").write_bytes(small_gguf()[:-1])
    with pytest.raises(ModelFileError, match=r"cut\.gguf' is truncated: \d+ bytes, needs"):
        await Inspector().head(tmp_path / "cut.gguf")
    (tmp_path / "m.safetensors").write_bytes(pickle.dumps({}))
    with pytest.raises(ModelFileError, match="is a Python pickle"):
        await Inspector().head(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match=r"gone' cannot be read"):
        await Inspector().head(tmp_path / "gone")


async def test_a_head_that_takes_too_much_memory_is_refused(tmp_path):
    """With a tenth of the memory, and a good head that is too large for it."""
    source = Path(inspect_child.__file__).read_text("utf-8").replace("512 << 20", "60 << 20")
    entries = ",".join(f'"{n:0200}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for n in range(100_000))
    head = f"{{{entries}}}".encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        child(tmp_path, patch, source)
        with pytest.raises(ModelFileError, match=r"m\.safetensors' cannot be used.*(may be spent|MiB of memory)"):
            await Inspector().head(tmp_path / "m.safetensors")
    assert (await Inspector().head(tmp_path / "m.safetensors")).format == "safetensors"


async def test_a_reader_that_computes_without_end_is_ended_by_its_limit(tmp_path, monkeypatch):
    source = Path(inspect_child.__file__).read_text("utf-8").replace("CPU_S = 15", "CPU_S = 1")
    child(tmp_path, monkeypatch, source.replace("    limit()\n", "    limit()\n    while True: pass\n"))
    with pytest.raises(ModelFileError, match="took more than 512 MiB of memory or 15 s of processor time"):
        await asyncio.wait_for(Inspector().head(DEMO), PATIENCE_S)


async def test_a_reader_that_hangs_is_killed_at_its_deadline(tmp_path, monkeypatch):
    child(tmp_path, monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(ModelFileError, match=r"rbee-tiny-q8_0\.gguf' cannot be used: .* took longer than 0\.5 s"):
        await Inspector(deadline_s=0.5).head(DEMO)
    assert not children()


async def test_a_reader_that_takes_no_question_is_killed_at_its_deadline(tmp_path, monkeypatch):
    child(tmp_path, monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(ModelFileError, match="took longer"):
        await Inspector(deadline_s=0.5).head_of_bytes("gguf", bytes(8 << 20))
    assert not children()


async def test_an_answer_without_end_is_cut_off(tmp_path, monkeypatch):
    child(tmp_path, monkeypatch, "import sys\nwhile True: sys.stdout.write('x' * 100000)")
    with pytest.raises(ModelFileError, match="more than 4 MiB"):
        await Inspector().head(DEMO)
    assert not children()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('nonsense')", "makes no sense"),
        ("print('[' * 100000)", "makes no sense"),
        ("print('{}')", "nothing was found"),
        ("pass", "makes no sense"),
        ("raise SystemExit(7)", "ended with code 7"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "MiB of memory or 15 s"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGTERM)})", "ended with code -15"),
    ],
)
async def test_a_reader_that_goes_wrong_makes_the_file_refused(tmp_path, monkeypatch, code, reason):
    child(tmp_path, monkeypatch, code)
    with pytest.raises(ModelFileError, match=rf"rbee-tiny-q8_0\.gguf' cannot be used.*{reason}"):
        await Inspector().head(DEMO)


async def test_who_is_cancelled_leaves_no_process_behind(tmp_path, monkeypatch):
    child(tmp_path, monkeypatch, f"open({str(tmp_path / 'up')!r}, 'w'); import time; time.sleep(600)")
    task = asyncio.create_task(Inspector().head(DEMO))
    async with asyncio.timeout(PATIENCE_S):
        while not (tmp_path / "up").exists():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children()


async def test_the_reader_sees_nothing_of_the_environment_and_has_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "s3cret")
    seen = tmp_path / "seen"
    child(
        tmp_path,
        monkeypatch,
        "import os, sys\n"
        f"open({str(seen)!r}, 'w').write(repr((dict(os.environ), sorted(os.listdir('/dev/fd')), os.getcwd())))\n"
        "print('{}')",
    )
    with pytest.raises(ModelFileError):
        await Inspector({"SECRET": "s3cret", "LD_LIBRARY_PATH": "/nowhere"}).head(DEMO)
    environment, files, place = eval(seen.read_text())
    assert "SECRET" not in environment
    assert environment["LD_LIBRARY_PATH"] == "/nowhere"
    assert len(files) <= 5
    assert place == "/"


async def test_the_reader_can_neither_write_files_nor_open_many(tmp_path, monkeypatch):
    source = Path(inspect_child.__file__).read_text("utf-8")
    check = f"""    limit()
    import os
    found = []
    try:
        with open({str(tmp_path / "written")!r}, "wb", buffering=0) as file:
            file.write(b"x")
    except OSError:
        found.append("no writing")
    try:
        files = [open("/dev/null") for _ in range(100)]
    except OSError:
        found.append("few files")
    sys.exit(len(found) * 10)
"""
    child(tmp_path, monkeypatch, source.replace("    limit()\n", check))
    with pytest.raises(ModelFileError, match="ended with code 20"):
        await Inspector().head(DEMO)


async def test_no_process_to_be_had_is_no_fault_of_the_file(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(UnavailableError, match="No process could be started to look into"):
        await Inspector().head(DEMO)


async def test_looking_into_many_files_keeps_the_loop_free_and_starts_few_at_once():
    inspector = Inspector()
    seen, longest = 0, 0.0
    heads = asyncio.gather(*(inspector.head(DEMO) for _ in range(6)))
    while not heads.done():
        started = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - started)
        seen = max(seen, len(children()))
    assert all(head.figures.parameters == 4459264 for head in heads.result())
    assert 1 <= seen <= 2
    assert longest < 2, "the loop stood still"
    assert not children()


async def test_the_reader_loads_little_of_the_program(tmp_path):
    """What it loads is what its start takes, and what hostile bytes could reach."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import runpy, sys, io\n"
        'sys.stdin = io.TextIOWrapper(io.BytesIO(b\'{"name":"x"}\'))\n'
        f"module = runpy.run_path({inspect_child.__file__!r})\n"
        f"module['main']({[str(Path(inspect_child.__file__).parents[2])]!r})\n"
        "print()\nprint(*sorted(name for name in sys.modules if name.startswith('rbee')))",
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    loaded = set(told.decode().splitlines()[-1].split())
    assert "rbee.contract.formats" in loaded
    assert {name for name in loaded if not name.startswith("rbee.contract.formats")} == {
        "rbee.catalog",
        "rbee.catalog.inspection_wire",
        "rbee.contract",
        "rbee.contract.errors",
        "rbee.contract.figures",
    }


async def test_an_answer_holds_a_template_of_the_largest_size(tmp_path):
    template = '\\"' * (128 * 1024)
    pairs = [pair("tokenizer.chat_template", TEXT, template), pair("general.file_type", U32, 7)]
    (tmp_path / "m.gguf").write_bytes(gguf(pairs))
    assert (await Inspector().head(tmp_path / "m.gguf")).figures.chat_template == template
