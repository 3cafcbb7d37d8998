"""Files with whatever may be wrong in them: one line that names the file, the field and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.contract.errors import NotFoundError, RbeeError
from rbee.simulation import check_together, read_fleet, read_load, read_recorded

EXAMPLES = Path(__file__).parents[3] / "docs/examples"

FLEET = """
hives:
  - name: box
    ram_gib: 32
    threads: 8
    gpus:
      - {memory_gib: 24, prefill_tok_s: 5000, decode_tok_s: {1: 100, 4: 60}}
    workers: {m: 2}
"""
LOAD = """
duration_s: 60
arrivals: {rate: 2}
models:
  - {name: m, weights_gib: 4}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "f.yaml"


def test_the_examples_of_the_documentation_are_right() -> None:
    fleet, load = EXAMPLES / "fleet.yaml", EXAMPLES / "load.yaml"
    check_together(read_fleet(fleet), fleet, read_load(load), load)


def test_a_short_file_will_do(file: Path) -> None:
    file.write_text(FLEET)
    fleet = read_fleet(file)
    assert fleet.hives[0].gpus[0].decode_tok_s == {1: 100, 4: 60}
    file.write_text(LOAD)
    assert read_load(file).models[0].name == "m"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("ram_gib: 32", "ram: 32", "there is no field `hives[0].ram`; fields are: name, count, ram_gib, threads, "),
        ("memory_gib: 24", "vram: 24", "there is no field `hives[0].gpus[0].vram`; fields are: prefill_tok_s, "),
        ("hives:", "machines:", "there is no field `machines`; fields are: hives, reference_gib"),
        ("ram_gib: 32", "ram_gib: -1", "hives[0].ram_gib: expected `float` > 0"),
        ("threads: 8", "threads: many", "hives[0].threads: expected `int`, got `str`"),
        ("    threads: 8\n", "", "hives[0]: object missing required field `threads`"),
        ("{1: 100, 4: 60}", "{}", "hives[0].gpus[0].decode_tok_s: expected `object` of length >= 1"),
        ("{m: 2}", "{m: -2}", "hives[0].workers[...]: expected `int` >= 0"),
        ("name: box", "name: 'a b'", "hives[0].name: expected `str` matching regex"),
        ("    gpus:", "    formats: [", "line 7: this is no YAML: "),
    ],
)
def test_what_is_wrong_in_a_fleet_is_told(file: Path, before: str, after: str, told: str) -> None:
    assert before in FLEET
    file.write_text(FLEET.replace(before, after))
    with pytest.raises(RbeeError) as refused:
        read_fleet(file)
    assert refused.value.message.startswith(str(file))
    assert told in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LOAD.replace("{rate: 2}", "{rate: 2, recorded: x}"), "arrivals: give either `rate` or `recorded`"),
        (LOAD + "prompt: {p95: 3}", "prompt: `p95` needs a `median`"),
        (LOAD + "warmup_s: 60", "`warmup_s` has to be less than `duration_s`"),
        (LOAD + "  - {name: m, weights_gib: 1}", "models: the name 'm' stands there twice"),
        (LOAD + "  - {name: m-1, weights_gib: 1, copies: 2}\n  - {name: m-1-2, weights_gib: 1}", "'m-1-2' stands"),
        (LOAD + "keys: [{name: a}, {name: a}]", "keys: the name 'a' stands there twice"),
        (LOAD + "sessions: {share: 2}", "sessions.share: expected `float` <= 1"),
        (LOAD + "sessions: {turn: 2}", "there is no field `sessions.turn`; fields are: share, turns, think_s"),
        ("[]", "expected `object`, got `array`"),
        ("", "expected `object`, got `null`"),
        ("\x00", "this is no YAML"),
        ("[" * 100_000, "too many brackets"),
        ("3: 4", "a name of a field there: expected `str`"),
        (LOAD.replace("rate: 2", "rate: .nan"), "arrivals.rate: expected `float` > 0"),
    ],
)
def test_what_is_wrong_in_a_load_is_told(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(RbeeError) as refused:
        read_load(file)
    assert refused.value.message.startswith(str(file))
    assert told in refused.value.message


def test_a_machine_that_computes_nothing_is_refused(file: Path) -> None:
    file.write_text("hives: [{name: a, ram_gib: 1, threads: 1}]")
    with pytest.raises(RbeeError, match=r"hives\[0\]: give `processor`, `gpus` or both"):
        read_fleet(file)


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no file"):
        read_fleet(tmp_path / "none.yaml")
    with pytest.raises(RbeeError, match="cannot be read"):
        read_load(tmp_path)


@pytest.mark.parametrize("field", ["models: [x]", "workers: {x: 1}"])
def test_a_fleet_names_only_models_of_the_load(tmp_path: Path, field: str) -> None:
    fleet, load = tmp_path / "fleet.yaml", tmp_path / "load.yaml"
    fleet.write_text(FLEET.replace("workers: {m: 2}", field))
    load.write_text(LOAD + "  - {name: n, weights_gib: 1, copies: 2}")
    with pytest.raises(RbeeError) as refused:
        check_together(read_fleet(fleet), fleet, read_load(load), load)
    name = field.partition(":")[0]
    assert refused.value.message == (
        f"{fleet}: hives[0].{name} names the model 'x', which is not in {load}; there are: m, n, n-1, n-2."
    )


def recorded(tmp_path: Path, *lines: str) -> list[float]:
    path = tmp_path / "load.yaml"
    path.write_text(LOAD.replace("{rate: 2}", "{recorded: asked.jsonl}"))
    (tmp_path / "asked.jsonl").write_text("\n".join(lines))
    return [one.at for one in read_recorded(path, read_load(path))]


def test_recorded_arrivals_are_read_as_far_as_the_load_goes(tmp_path: Path) -> None:
    assert recorded(tmp_path, '{"at": 0}', "", '{"at": 2.5, "model": "m"}', '{"at": 61}') == [0.0, 2.5]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["{}"], "line 1 is no arrival"),
        (['{"at": 1}', "no"], "line 2 is no arrival"),
        (['{"at": 1, "model": "x"}'], "there is no model 'x'"),
        (['{"at": 1}', '{"at": 0.5}'], "line 2: `at` is 0.5 and has to be 1 or more"),
        (['{"at": 1, "answer_tokens": 0}'], "`answer_tokens` is 0"),
        (['{"at": 100}'], "no arrival is within"),
        ([], "no arrival is within"),
    ],
)
def test_what_is_wrong_in_a_recording_is_told_with_its_line(tmp_path: Path, lines: list[str], told: str) -> None:
    with pytest.raises(RbeeError) as refused:
        recorded(tmp_path, *lines)
    assert told in refused.value.message


def test_without_a_recording_there_is_none(file: Path) -> None:
    file.write_text(LOAD)
    assert read_recorded(file, read_load(file)) == []
