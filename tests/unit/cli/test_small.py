"""Figures for people, and names of models as the shell means them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rbee.cli.asking import absolute
from rbee.cli.format import duration, megabytes, text
from rbee.cli.inference_options import inference_options
from rbee.cli.words import pairs


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "-"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m 1s"),
        (3600, "1h"),
        (11520, "3h 12m"),
        (90000, "1d 1h"),
    ],
)
def test_a_length_of_time_has_at_most_two_units(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(("mebibytes", "told"), [(None, "-"), (0, "0 MiB"), (1023, "1023 MiB"), (7578, "7.4 GiB")])
def test_memory_is_told_in_a_fitting_unit(mebibytes: int | None, told: str) -> None:
    assert megabytes(mebibytes) == told


def test_the_unknown_is_a_dash_and_nought_is_not() -> None:
    assert [text(value) for value in (None, 0, "x")] == ["-", "0", "x"]


@pytest.mark.parametrize(
    "name", ["m.gguf", "M.GGUF", "model.safetensors", "./m", "../m", "sub/m.gguf", ".", "file:m.gguf", "file:./m"]
)
def test_a_relative_path_becomes_absolute(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = absolute(name).removeprefix("file:")
    assert Path(found).is_absolute()
    assert absolute(name).startswith("file:") is name.startswith("file:")
    assert absolute(absolute(name)) == absolute(name)


def test_what_exists_here_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("org/m") == "org/m"
    (tmp_path / "org" / "m").mkdir(parents=True)
    assert absolute("org/m") == str(tmp_path / "org" / "m")
    (tmp_path / "a" / "b" / "c" / "d").mkdir(parents=True)
    assert absolute("a/b/c/d") == str(tmp_path / "a" / "b" / "c" / "d")


def test_the_home_folder_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/bee")
    assert absolute("~/m.gguf") == "/home/bee/m.gguf"


@pytest.mark.parametrize(
    "name",
    [
        *("demo", "org/m", "org/m:Q4_K_M", "org/m:file.gguf", "hf:org/m@main::a.gguf", "file:///m", "/m.gguf"),
        *("hf.co/org/repo/blob/main/file.gguf", "https://hf.co/org/repo/resolve/main/a.gguf", "a/b/c/d", "m/\0"),
    ],
)
def test_other_names_stay_as_they_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute(name) == name


@pytest.mark.parametrize("option", ["--temperature", "--top-p"])
def test_nan_is_no_number(option):
    @click.command()
    @inference_options
    def ask(**options):
        raise AssertionError(options)

    done = CliRunner().invoke(ask, [option, "nan"])
    assert done.exit_code == 2
    assert "is not a number" in done.output


@pytest.mark.parametrize("option", ["--hive", "--device", "--stop"])
def test_an_empty_word_is_wrong_usage(option):
    @click.command()
    @inference_options
    def ask(**options):
        raise AssertionError(options)

    done = CliRunner().invoke(ask, [option, ""])
    assert done.exit_code == 2
    assert "it is empty" in done.output


def test_pairs_are_told_apart_at_the_first_equals_sign_and_the_last_of_a_name_wins() -> None:
    seen: list[dict[str, str]] = []

    @click.command()
    @click.option("--option", "options", multiple=True, callback=pairs("cache_mb=512"))
    def command(*, options: dict[str, str]) -> None:
        seen.append(options)

    line = ["--option", "a=b=c", "--option", " n =1", "--option", "n=", "--option", "n=2"]
    assert CliRunner().invoke(command, line).exit_code == 0
    assert seen == [{"a": "b=c", "n": "2"}]
    for wrong in ("cache_mb", "=5", " =5"):
        told = CliRunner().invoke(command, ["--option", wrong])
        assert (told.exit_code, "NAME=VALUE, as in cache_mb=512" in told.output) == (2, True)
