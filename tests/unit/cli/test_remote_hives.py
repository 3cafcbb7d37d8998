from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from rbee.cli.commands.hive.start import command as start
from rbee.cli.commands.hive.status import command as status
from rbee.cli.commands.hive.stop import command as stop
from rbee.cli.outcomes import Outcome
from rbee.cli.remote_hives import meant, tell
from rbee.contract.errors import RbeeError, UnavailableError
from rbee.contract.wire import RemoteHive


def test_each_machine_is_meant_once_in_the_order_in_which_it_was_named() -> None:
    assert meant(["b", "a", "b"], every=False) == ["b", "a"]


@pytest.mark.parametrize(("names", "every"), [((), False), (("a",), True)])
def test_names_and_all_exclude_each_other_and_one_is_needed(names: tuple[str, ...], every: bool) -> None:
    with pytest.raises(click.UsageError, match="--all"):
        meant(names, every=every)


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (start, ["--dry-run"]),
        (start, ["--within", "5"]),
        (start, ["attic", "--detach"]),
        (stop, ["--drain", "5"]),
        (stop, ["attic", "--keep-workers"]),
        (stop, ["attic", "--all"]),
        (status, ["attic", "--all"]),
    ],
)
def test_what_is_about_this_machine_is_refused_for_others_and_the_other_way_round(
    command: click.Command, args: list[str]
) -> None:
    done = CliRunner().invoke(command, args)
    assert done.exit_code == 2, done.output


def test_a_machine_that_failed_is_told_among_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    good = RemoteHive(hive_id="a", host="a", environment="1-x", running=True, pid=7, keeper="group", online=True)
    asked = [
        Outcome(hive_id="a", what="hive a", result=good),
        Outcome[RemoteHive](hive_id="b", what="hive b", error=UnavailableError("Looking for room on b: it is full.")),
    ]
    with pytest.raises(RbeeError, match=r"1 of 2 failed: hive b"):
        tell(asked, as_json=False)
    told = capsys.readouterr()
    assert "process 7" in told.out
    assert "Looking for room on b" in told.err


def test_a_dry_run_prints_what_would_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    plan = RemoteHive(hive_id="a", host="a", plan=("first", "second"))
    assert tell([Outcome(hive_id="a", what="hive a", result=plan)], as_json=False, dry_run=True) == 0
    assert capsys.readouterr().out.splitlines() == ["first", "second"]
