"""Checks of a machine, for a person."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.format import line
from rbee.contract.checks import Check

_SIGNS = MappingProxyType({"ok": "+", "warn": "!", "fail": "x"})


def print_checks(checks: tuple[Check, ...]) -> None:
    """One line for each, and one for each remedy."""
    for check in checks:
        click.echo(f"  {_SIGNS[check.status]} {line(check.name)}: {line(check.detail)}")
        if check.remedy is not None and check.status != "ok":
            click.echo(f"      {line(check.remedy)}")
