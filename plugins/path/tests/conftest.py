"""A PATH of the test's own, with a `llama-server` that takes the real one's flags and serves a real model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from rbee.contract import LoadSpec, ModelVariant
from rbee_path import EngineRecord, engine_of
from rbee_path.asking import PATIENCE_S, Server
from rbee_path.reading import shipped_records

MODEL = Path(__file__).parents[2] / "demo" / "rbee_demo" / "data" / "rbee-tiny-q8_0.gguf"

LLAMA_SERVER = """
import argparse, os, signal, sys
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("-m", "--model", required="--version" not in sys.argv)
parser.add_argument("-a", "--alias")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("-np", "--parallel", type=int, default=1)
parser.add_argument("-c", "--ctx-size", type=int, default=0)
parser.add_argument("-t", "--threads", type=int, default=1)
parser.add_argument("-tb", "--threads-batch", type=int, default=1)
parser.add_argument("-ngl", "--gpu-layers", "--n-gpu-layers", type=int, default=99)
for flag in ("--no-context-shift", "--metrics", "--slots", "--version"):
    parser.add_argument(flag, action="store_true")
args = parser.parse_args()
if args.version:
    print("version: 6823 (4ad4f0a3)", file=sys.stderr)
    raise SystemExit
import xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.model_alias = args.model, {args.alias}
p.hostnames, p.port, p.api_keys = [args.host], args.port, [os.environ["LLAMA_API_KEY"]]
p.n_parallel, p.n_ctx, p.kv_unified, p.cache_ram_mib = args.parallel, args.ctx_size, False, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = args.threads
p.n_gpu_layers, p.endpoint_slots, p.endpoint_metrics = args.gpu_layers, args.slots, args.metrics
p.n_threads_http, p.sse_ping_interval, p.ui, p.verbosity = args.parallel + 4, 1, False, 1
try:
    server = xllamacpp.Server(p)
except RuntimeError:
    sys.exit("srv  llama_server: exiting due to model loading error")
print("server is listening on", server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
os._exit(0)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH; no server of the package's records is asked, whatever this machine runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("RBEE_HOME", str(tmp_path / "home"))
    usual = {one.join.url for one in shipped_records() if one.join is not None}
    get = Server.get

    def answered(server: Server, path: str, within_s: float = PATIENCE_S) -> bytes:
        if server.url in usual:
            raise ConnectionRefusedError
        return get(server, path, within_s)

    monkeypatch.setattr(Server, "get", answered)
    return folder


@pytest.fixture
def put(programs: Path):
    """Puts a Python program on the PATH."""

    def make(name: str, script: str) -> Path:
        path = programs / name
        path.write_text(f"#!{sys.executable}\n{script}")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def llama_server(put) -> Path:
    return put("llama-server", LLAMA_SERVER)


@pytest.fixture
def record():
    """Gives a record of this package by its name."""

    def by_name(name: str) -> EngineRecord:
        return next(one for one in shipped_records() if one.name == name)

    return by_name


@pytest.fixture
def llama_class(llama_server, record):
    return engine_of(record("llama-server"))


@pytest.fixture
def make_spec():
    assert MODEL.is_file(), f"{MODEL} is missing; these tests run a real model and are never skipped"

    def make(**changes) -> LoadSpec:
        variant = ModelVariant(model_id="demo:rbee-tiny:Q8_0", name="demo", vendor="demo", format="gguf")
        facts = {"model_id": variant.model_id, "model_path": str(MODEL), "variant": variant, "slots": 2}
        return LoadSpec(**{**facts, "context_length": 512, **changes})

    return make


@pytest.fixture
def load_spec(make_spec) -> LoadSpec:
    return make_spec()


def processes_of(group: int) -> list[int]:
    """Processes of a group that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def group_of():
    """Living processes of an engine's process group."""

    def ask(pid: int) -> list[int]:
        return processes_of(os.getpgid(pid)) if Path(f"/proc/{pid}").exists() else processes_of(pid)

    return ask
