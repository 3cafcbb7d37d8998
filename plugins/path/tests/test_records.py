"""Records: those of the package are whole, a person's own are checked, and a broken one breaks no other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from rbee.contract import Backend, DeviceShare, Register
from rbee.plugins.registrations import OwnedRegister, Registrations
from rbee_path import EngineRecord, engine_of, plugin, read_records
from rbee_path.asking import parse_metrics
from rbee_path.engine import values_of
from rbee_path.reading import Broken, shipped_records, user_folder
from rbee_path.record import parse_record
from rbee_path.template import fill, fill_groups

GOOD = """
name = "mill"
summary = "A mill."
program = "mill"
formats = ["gguf"]
backends = ["cpu"]
capabilities = ["chat"]
install = "build a mill"
arguments = [["--model", "{model}"], ["--port={port}"]]
"""


@pytest.fixture
def folder(programs: Path, tmp_path: Path) -> Path:
    found = tmp_path / "home" / "config" / "engines"
    found.mkdir(parents=True)
    return found


def registered() -> Registrations:
    registrations = Registrations()
    register: Register = OwnedRegister(registrations, "path")
    plugin.rbee_register(register)
    return registrations


def test_the_records_of_the_package_are_these():
    assert [one.name for one in shipped_records()] == ["llama-server", "mlx-lm", "ollama", "vllm"]
    for record in shipped_records():
        assert record.install
        assert record.capabilities


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("formats", "fromats"), "there is no field `fromats`"),
        (('program = "mill"\n', ""), "there must be a field `program`"),
        (('["cpu"]', '["steam"]'), "'backends[0]': Invalid enum value 'steam'"),
        (("{port}", "{prot}"), "'arguments[1]': {prot} in '--port={prot}' is no place"),
        (("{port}", "{port.__class__}"), "is no place"),
        (("{port}", "{port!r}"), "is no place"),
        (("{port}", "{port"), "'arguments[1]': "),
        (('["--port={port}"]', '["--quick"]'), "{port} must stand"),
        (('["--port={port}"]', '["--port={port}", "{api_key}"]'), "'key': it is true when"),
        (('"build a mill"', '"build\\na mill"'), "'install': "),
        (('name = "mill"', 'name = "The Mill"'), "'name': "),
        (("install", "[ready]\ntimeout_s = -1\n[x]\ninstall"), "'ready.timeout_s': "),
        (("name", "name ="), "Invalid value"),
    ],
)
def test_a_record_that_is_wrong_names_the_field(change, said):
    with pytest.raises(ValueError) as caught:
        parse_record(GOOD.replace(*change))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1:80", "https://127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:1/x", "http://u@127.0.0.1:1"],
)
def test_only_servers_of_this_machine_are_joined(url):
    with pytest.raises(ValueError, match=r"'join\.url'.* must be http://127\.0\.0\.1:PORT"):
        parse_record(f'{GOOD}\n[join]\nurl = "{url}"\n')


def test_a_persons_own_file_is_an_engine(folder: Path, put):
    (folder / "mill.toml").write_text(GOOD)
    engine = registered().engines.get("path-mill")
    assert not engine.availability().available
    put("mill", "")
    assert engine.availability().available
    assert engine.info().formats == ("gguf",)
    assert not engine.info().optional


def test_of_the_packages_own_those_are_engines_that_may_be_of_use_here(folder: Path, put):
    assert registered().engines.names() == ["path-ollama"], "it may run without being on the PATH"
    put("vllm", "")
    assert registered().engines.names() == ["path-ollama", "path-vllm"]
    assert all(engine.info().optional for engine in registered().engines.things())


def test_registering_asks_no_server(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Every program that starts registers, and a server may answer late, or only later."""

    def refused(*_args: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr("socket.socket.connect", refused)
    assert registered().engines.names() == ["path-ollama"]


def test_a_persons_own_takes_the_place_of_one_of_the_package(folder: Path):
    (folder / "mine.toml").write_text(GOOD.replace('"mill"', '"llama-server"').replace("A mill.", "My own."))
    (found,) = [one for one in read_records(folder) if one.name == "llama-server"]
    assert isinstance(found, EngineRecord)
    assert found.summary == "My own."


def test_a_broken_file_is_an_engine_that_says_why_and_breaks_no_other(folder: Path):
    (folder / "mill.toml").write_text(GOOD)
    (folder / "Bad One.toml").write_text("name = ")
    (folder / "large.toml").write_text("#" * 70_000)
    (folder / "bytes.toml").write_bytes(b"\xff\xfe")
    (folder / "twice.toml").write_text(GOOD)
    engines = {one.name: one for one in registered().engines.things()}
    assert set(engines) == {"path-mill", "path-bad-one", "path-large", "path-bytes", "path-twice", "path-ollama"}
    for name, said in (
        ("bad-one", "Bad One.toml' is no record of an engine: "),
        ("large", "more than 65536 bytes"),
        ("twice", "'name': 'mill' stands in 'mill.toml' too"),
    ):
        info = engines[f"path-{name}"].info()
        assert not info.available
        assert said in info.reason
        assert info.reason.endswith("; mend the file or remove it")


def test_a_broken_file_that_is_called_as_a_record_of_another_takes_no_place(folder: Path):
    (folder / "a.toml").write_text(GOOD)
    (folder / "mill.toml").write_text("name = ")
    (folder / "vllm.toml").write_text("name = ")
    found = {one.name: one for one in read_records(folder)}
    assert {name for name, one in found.items() if isinstance(one, Broken)} == {"mill-2", "vllm-2"}
    assert isinstance(found["mill"], EngineRecord)
    assert "mill.toml' is no record" in found["mill-2"].reason
    engines = {one.name: one.info().optional for one in registered().engines.things()}
    assert engines == {"path-mill": False, "path-mill-2": False, "path-vllm-2": False, "path-ollama": True}


def test_strangers_cannot_have_a_joined_server_load_its_models():
    """Only callers with the colony's token may: it may take the memory that others use."""
    assert registered().model_vendors.get("path-ollama").names_anything


def test_names_of_a_joined_servers_models_are_taken_as_they_are():
    vendor = registered().model_vendors.get("path-ollama")()
    assert vendor.supports("path-ollama:llama3.2:1b")
    assert not vendor.supports("llama3.2")
    (variant,) = vendor.resolve("path-ollama:library/llama3.2:1b")
    assert (variant.model_id, variant.format, variant.files) == ("path-ollama:library/llama3.2:1b", "ollama", ())
    assert vendor.resolve(variant.model_id) == (variant,)
    for wrong in ("path-ollama:", "path-ollama:a b", "path-ollama:-x", "path-ollama:" + "x" * 500):
        from rbee.contract.errors import ModelNotFoundError

        with pytest.raises(ModelNotFoundError, match="names no model"):
            vendor.resolve(wrong)


def test_the_folder_follows_rbees_own():
    assert user_folder({"RBEE_HOME": "/colony"}) == Path("/colony/config/engines")
    assert user_folder({}).name == "engines"
    assert user_folder({}).parent.name == "rbee"


def test_places_are_filled_and_groups_with_an_unknown_one_are_left_out():
    groups = (("--port", "{port}"), ("--context={context}", "--fast"), ("{{literal}}",))
    assert list(fill_groups(groups, {"port": "1", "context": None})) == ["--port", "1", "{literal}"]
    assert fill("{host}:{port}", {"host": "h", "port": "{api_key}", "api_key": "s"}) == "h:{api_key}", "filled once"


def test_metrics_are_summed_over_their_labels():
    text = b'# HELP a x\na{model="m {x}",e="0"} 1.5\na{e="1"} 2 1700000000\nb 3\nnonsense\nc{\n'
    assert parse_metrics(text) == {"a": 3.5, "b": 3.0}


def test_a_broken_record_is_no_engine_that_can_be_made_to_start(load_spec):
    engine = engine_of(Broken(name="x", reason="it is broken; mend it"))
    assert engine.name == "path-x"
    assert not engine.info().available


def test_the_record_of_a_server_that_splits_a_model_is_told_of_all_gpus_and_of_one_nothing_is_split(load_spec):
    (record,) = (one for one in shipped_records() if one.name == "llama-server")
    found = engine_of(record)
    assert found.info().splits == ("cuda", "rocm")
    shares = (
        DeviceShare(device="GPU-2", memory_bytes=24 * 2**30),
        DeviceShare(device="GPU-0", memory_bytes=12 * 2**30),
    )
    over = msgspec.structs.replace(load_spec, device="GPU-2", backend="cuda", devices=shares)
    for spec, numbers, arguments in (
        (over, "2,0", ["--split-mode", "layer", "--tensor-split", "24576,12288"]),
        (msgspec.structs.replace(over, devices=()), "2", []),
    ):
        values = values_of(spec)
        assert list(fill_groups(record.on[Backend.CUDA].arguments, values)) == arguments
        assert fill(record.on[Backend.CUDA].environment["CUDA_VISIBLE_DEVICES"], values) == numbers
