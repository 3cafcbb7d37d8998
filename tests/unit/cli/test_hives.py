"""Which hives a command is about."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from rbee.cli.context import Context
from rbee.cli.hives import check_hive_options, hive_options, target_hives
from rbee.contract.errors import InvalidRequestError, NotFoundError, UnavailableError
from unit.cli.scripted import ScriptedQueen


def test_the_only_hive_needs_no_name(queen: ScriptedQueen, context: Context) -> None:
    queen.hives = {"gpu1": True, "gone": False}
    assert target_hives(context, queen.url, None, all_hives=False) == ["gpu1"]
    assert target_hives(context, queen.url, "localhost", all_hives=False) == ["gpu1"]


def test_of_several_one_must_be_named(queen: ScriptedQueen, context: Context) -> None:
    queen.hives = {"b": True, "a": True}
    with pytest.raises(InvalidRequestError, match=r"a, b\. Name one with --hive, or take all with --all-hives"):
        target_hives(context, queen.url, None, all_hives=False)
    assert target_hives(context, queen.url, "b", all_hives=False) == ["b"]
    with pytest.raises(NotFoundError, match="no hive 'localhost'"):
        target_hives(context, queen.url, "localhost", all_hives=False)


def test_all_are_those_online_and_the_others_are_said(
    queen: ScriptedQueen, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    queen.hives = {"b": True, "c": False, "a": True}
    assert target_hives(context, queen.url, None, all_hives=True) == ["a", "b"]
    assert capsys.readouterr().err == "Offline and left out: c.\n"


@pytest.mark.parametrize("all_hives", [True, False])
def test_without_a_hive_it_says_what_to_start(queen: ScriptedQueen, context: Context, *, all_hives: bool) -> None:
    queen.hives = {"c": False}
    with pytest.raises(UnavailableError, match=r"Offline: c\. Start one: rbee hive start"):
        target_hives(context, queen.url, None, all_hives=all_hives)


def test_a_hive_that_is_not_there_is_told_apart_from_one_that_is_offline(
    queen: ScriptedQueen, context: Context
) -> None:
    queen.hives = {"a": True, "c": False}
    with pytest.raises(NotFoundError, match=r"'c' is offline\. Online: a"):
        target_hives(context, queen.url, "c", all_hives=False)
    with pytest.raises(NotFoundError, match=r"no hive 'x'\. Online: a"):
        target_hives(context, queen.url, "x", all_hives=False)


def test_one_and_all_exclude_each_other() -> None:
    @click.command()
    @hive_options
    def ask(hive_id: str | None, *, all_hives: bool) -> None:
        check_hive_options(hive_id, all_hives=all_hives)

    assert CliRunner().invoke(ask, ["--hive", "a"]).exit_code == 0
    assert CliRunner().invoke(ask, ["--all-hives"]).exit_code == 0
    done = CliRunner().invoke(ask, ["--hive", "a", "--all-hives"])
    assert (done.exit_code, "exclude each other" in done.output) == (2, True)
