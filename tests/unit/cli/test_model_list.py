"""Words for models in tables and facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rbee.cli.commands.model.plan import plan_row
from rbee.cli.commands.model.rm import told
from rbee.cli.model_list import facts_of, file_rows, list_row, state_of
from rbee.cli.tables import print_table
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.wire import ModelDeleted, ModelRecord, PlanRow

MIB = 1024 * 1024


def model(**facts: Any) -> ModelRecord:
    known: dict[str, Any] = {
        "model_id": "hub:org/m:Q8_0", "name": "m", "vendor": "hub", "format": "gguf", "state": "available",
        "quantization": "Q8_0", "revision": None, "size_bytes": 4 * MIB, "path": "/m/a.gguf", "in_place": False,
        "context_length": None, "added_at": datetime(2026, 1, 2, tzinfo=UTC), "workers": (),
    }  # fmt: skip
    return ModelRecord(**{**known, **facts})


@pytest.mark.parametrize(
    ("facts", "told_state"),
    [
        ({}, "available"),
        ({"state": "downloading", "done_bytes": 3 * MIB}, "downloading 75 %"),
        ({"state": "downloading"}, "downloading"),
        ({"state": "downloading", "done_bytes": 5, "size_bytes": None}, "downloading"),
        ({"state": "failed"}, "failed"),
        ({"state": "failed", "error": "No\nroom."}, "failed: No room."),
        ({"state": "failed", "error": "x" * 100}, f"failed: {'x' * 59}…"),
        ({"state": "missing"}, "missing"),
    ],
)
def test_a_state_is_a_word_with_what_matters(facts: dict[str, Any], told_state: str) -> None:
    assert state_of(model(**facts)) == told_state


def test_a_row_has_figures_and_dashes_for_the_unknown() -> None:
    assert list_row(model()) == ("m", "gguf", "Q8_0", "4.0 MiB", "available", "-", "0")
    known = model(quantization=None, size_bytes=None, figures=ModelFigures(context_length=2048), workers=("w", "x"))
    assert list_row(known) == ("m", "gguf", "-", "-", "available", "2048", "2")


def test_facts_are_all_that_is_known() -> None:
    figures = ModelFigures(architecture="llama", parameters=7_240_000_000, heads=32, kv_heads=8, chat_template="ab")
    facts = facts_of("gpu1", model(figures=figures, state="failed", error="No room.", done_bytes=MIB, revision="r1"))
    assert facts["hive"] == "gpu1"
    assert (facts["state"], facts["why"], facts["here"]) == ("failed", "No room.", "1.0 MiB")
    assert (facts["parameters"], facts["heads"]) == ("7.2 billion", "32, 8 with keys and values")
    assert facts["chat template"] == "its own, 2 characters"
    assert facts["layers"] == "-"
    assert facts["revision"] == "r1"
    assert "architecture" not in facts_of("gpu1", model())


def test_files_have_the_checksum_that_is_known() -> None:
    files = (
        ModelFile(name="a", size_bytes=5, sha256="s"),
        ModelFile(name="b", git_oid="g"),
        ModelFile(name="c", size_bytes=0),
    )
    assert file_rows(model(files=files)) == [("a", "5 B", "s"), ("b", "-", "g"), ("c", "0 B", "-")]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"freed_bytes": 5 * MIB}, "m: 5.0 MiB were freed."),
        ({"freed_bytes": None}, "m: how much was freed is not known."),
        ({"freed_bytes": 5, "stopped": ("w", "x")}, "m: 5 B were freed. Stopped for it: w, x."),
        ({"freed_bytes": 0}, "m: nothing was freed: its files are used elsewhere or are not rbee's (/m)."),
        ({"freed_bytes": 0, "path": None}, "m: nothing was freed: it had no files."),
        ({"freed_bytes": 0, "deleted": False}, "m: it was not there."),
    ],
)
def test_what_was_freed_is_told(facts: dict[str, Any], words: str) -> None:
    known: dict[str, Any] = {"model_id": "hub:m", "deleted": True, "path": "/m", "stopped": ()}
    assert told("m", ModelDeleted(**{**known, **facts})) == words


def test_a_plan_tells_each_hive_and_says_what_it_does_not_know() -> None:
    chosen = ModelVariant(model_id="hub:m:Q4_K_M", name="m", vendor="hub", format="gguf", quantization="Q4_K_M")
    row = PlanRow(
        hive_id="gpu1", chosen=chosen, file="m.gguf", size_bytes=4 * MIB, present=True, memory_bytes=5 * MIB,
        reserve_bytes=-2 * MIB, peak_bytes=4 * MIB, peak_hive_id="gpu1", error_pct=75.0, free_bytes=9 * MIB, fits=True, reasons=("It fits.", "It is\nthe largest."),
    )  # fmt: skip
    assert plan_row(row) == (
        "gpu1", "Q4_K_M gguf", "m.gguf", "4.0 MiB, here", "-", "5.0 MiB", "-2.0 MiB", "4.0 MiB", "+75.0 %", "9.0 MiB",
        "yes", "It fits.\nIt is the largest.",
    )  # fmt: skip
    assert plan_row(PlanRow(hive_id="cpu")) == ("cpu", *["-"] * 11)
    assert plan_row(PlanRow(hive_id="cpu", fits=False))[10] == "no"
    elsewhere = PlanRow(hive_id="cpu", reserve_bytes=MIB, peak_bytes=3 * MIB, peak_hive_id="gpu1", error_pct=-5.04)
    assert plan_row(elsewhere)[6:9] == ("+1.0 MiB", "3.0 MiB on gpu1", "-5.0 %")


def test_on_a_terminal_a_table_breaks_sentences_and_no_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    sentence = "because " * 40
    row = ("a\x1b[2J", "4.0\nMiB", f"{sentence}\nlast")
    print_table(("HIVE", "SIZE", "WHY"), [row], right={"SIZE"}, sentences="WHY")
    head, first, *rest, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["HIVE", "SIZE", "WHY"]
    assert first.startswith("a?[2J  4.0?MiB  because")
    assert rest
    assert last.strip() == "last"


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    name, why = "a" * 300, "because " * 40
    print_table(("NAME", "WHY"), [(name, f"{why}\nlast"), ("b", "c")], sentences="WHY")
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "WHY"]
    assert first.split(maxsplit=1) == [name, f"{why}; last"]
    assert second.split() == ["b", "c"]
