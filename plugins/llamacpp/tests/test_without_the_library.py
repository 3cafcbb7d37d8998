"""What the plugin says where llama.cpp cannot run, and the parts that need no library."""

import ctypes.util
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from rbee.contract import Backend, Endpoint
from rbee.contract.errors import EngineUnavailableError, InsufficientMemoryError, ModelFileError
from rbee.testing.conformance import EngineContract
from rbee_llamacpp import LlamaCppEngine, availability, engine, failure
from rbee_llamacpp.console import Console, parse_counters
from rbee_llamacpp.parameters import context_per_slot, fill_parameters
from rbee_llamacpp.preflight import check_device
from rbee_llamacpp.stderr import CapturedStderr


@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


@pytest.mark.usefixtures("no_library")
class TestLlamaCppEngineWithoutItsLibrary(EngineContract):
    @pytest.fixture
    def engine_class(self):
        return LlamaCppEngine


@pytest.mark.usefixtures("no_library")
def test_a_missing_library_comes_with_its_install_command(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    found = LlamaCppEngine.availability()
    assert not found.available
    assert found.reason.endswith("pip install 'rbee-llamacpp[engine]'")


@pytest.mark.usefixtures("no_library")
def test_a_platform_without_a_wheel_is_told_so(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "no ready-made xllamacpp for linux on riscv64" in LlamaCppEngine.availability().reason


def test_a_missing_libgomp_comes_with_its_install_command(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    found = LlamaCppEngine.availability()
    assert (found.available, found.version is not None) == (False, True)
    assert found.reason.endswith(availability.INSTALL_GOMP)


def test_availability_neither_imports_the_library_nor_loads_openmp():
    code = (
        "import sys, pathlib, rbee_llamacpp.plugin as p;"
        "assert p.LlamaCppEngine.availability().available;"
        "assert 'xllamacpp' not in sys.modules;"
        "assert 'libgomp' not in pathlib.Path('/proc/self/maps').read_text()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


@pytest.mark.usefixtures("no_library")
def test_starting_without_the_library_says_how_to_install_it(load_spec, monkeypatch):
    monkeypatch.setattr(engine, "LIBRARY", "no_such_library_at_all")
    with pytest.raises(EngineUnavailableError, match="pip install"):
        LlamaCppEngine().start(load_spec, lambda _stage: None)


def test_metal_is_left_to_macs(make_spec, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    check_device(make_spec(backend=Backend.METAL))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(EngineUnavailableError, match="metal on linux"):
        check_device(make_spec(backend=Backend.METAL))


def parameters():
    return SimpleNamespace(**{part: SimpleNamespace() for part in ("model", "cpuparams", "cpuparams_batch")})


def test_on_a_mac_layers_and_batches_are_left_to_the_library(make_spec):
    made = parameters()
    fill_parameters(None, made, make_spec(backend=Backend.METAL), "/m.gguf", "key")
    assert not hasattr(made, "n_gpu_layers")
    assert not hasattr(made, "n_batch")


def test_the_total_context_is_that_of_a_slot_times_the_slots(make_spec):
    made = parameters()
    fill_parameters(None, made, make_spec(context_length=1000, slots=3, threads=2), "/m.gguf", "key")
    assert (made.n_ctx, made.n_parallel, made.kv_unified, made.ctx_shift) == (3000, 3, False, False)
    assert (made.cpuparams.n_threads, made.cpuparams_batch.n_threads) == (2, 2)
    assert made.api_keys == ["key"]


@pytest.mark.parametrize(
    ("asked", "own", "settled"),
    [(None, None, 8192), (None, 2048, 2048), (None, 131072, 8192), (32768, 16384, 16384)],
)
def test_context_is_the_default_or_what_was_asked_within_the_models_own(make_spec, asked, own, settled):
    spec = make_spec(context_length=asked)
    spec = msgspec.structs.replace(spec, variant=msgspec.structs.replace(spec.variant, context_length=own))
    assert context_per_slot(spec) == settled


def test_running_out_of_memory_is_told_apart_from_a_bad_file(load_spec):
    text = (
        "0.00.143.409 E ggml_aligned_malloc: insufficient memory (attempted to allocate 488.75 MB)\n"
        "0.00.143.415 E ggml_backend_alloc_buffer: failed to allocate buffer of size 512491520\n"
        "0.00.143.470 E cmn  common_init_: failed to create context with model '/m.gguf'\n"
        "0.00.143.751 E srv          init: exiting due to model loading error\n"
    )
    error = failure.load_failure(load_spec, "/m.gguf", text)
    assert isinstance(error, InsufficientMemoryError)
    assert "insufficient memory (attempted to allocate 488.75 MB)" in error.message
    assert len(error.details["engine_said"]) == 2


def test_a_failure_without_a_word_is_still_an_error_that_names_the_file(load_spec):
    error = failure.load_failure(load_spec, "/m.gguf", "")
    assert isinstance(error, ModelFileError)
    assert "'/m.gguf' cannot be loaded: the library gave no reason" in error.message


def test_a_server_that_does_not_answer_leaves_figures_unknown():
    status = Console(Endpoint(url="http://127.0.0.1:1"), 3).status()
    assert (status.slots_total, status.slots_busy, status.tokens_generated) == (3, None, None)


def test_counters_are_read_from_prometheus_text():
    text = '# HELP a b\n# TYPE a counter\na 3\nb 4.5\nc{x="y"} 1 2\nnonsense\n'
    assert parse_counters(text) == {"a": 3.0, "b": 4.5}


def test_captured_lines_are_read_back_and_passed_on(capfd):
    with CapturedStderr() as captured:
        os.write(2, b"E something native\n")
        captured.wait_for(b"native", 1)
    assert captured.text == "E something native\n"
    assert capfd.readouterr().err == "E something native\n"


def test_a_process_without_standard_error_can_still_capture():
    code = (
        "import os; os.close(2); from rbee_llamacpp.stderr import CapturedStderr\n"
        "with CapturedStderr() as c: os.write(2, b'hello')\n"
        "print(c.text)\n"
        "try: os.fstat(2)\n"
        "except OSError: print('closed')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        env=environment,
        check=True,
    )
    assert done.stdout.split() == ["hello", "closed"]
