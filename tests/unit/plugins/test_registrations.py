"""Shelves of registered things."""

from __future__ import annotations

import click
import pytest
from rbee.contract.errors import ConfigurationError, DuplicateNameError, PluginError
from rbee.plugins import Registrations, install_hint
from rbee.plugins.registrations import OwnedRegister, Shelf


def test_a_missing_name_suggests_the_nearest() -> None:
    shelf: Shelf[int] = Shelf("policy")
    shelf.add("seed", 1, "core", replace=False)
    with pytest.raises(ConfigurationError, match=r"Did you mean 'seed'\?"):
        shelf.get("sed")


@pytest.mark.parametrize(("names", "told"), [([], "none"), (["b", "a"], "a, b")])
def test_a_name_like_no_other_lists_what_there_is(names: list[str], told: str) -> None:
    shelf: Shelf[int] = Shelf("policy")
    for name in names:
        shelf.add(name, 1, "core", replace=False)
    with pytest.raises(ConfigurationError, match=f"There are: {told}"):
        shelf.get("zzz")


def test_things_come_in_the_order_of_registration_and_names_sorted() -> None:
    shelf: Shelf[int] = Shelf("probe")
    for number, name in enumerate("cab"):
        shelf.add(name, number, "core", replace=False)
    assert (shelf.things(), shelf.names()) == ([0, 1, 2], ["a", "b", "c"])


def test_the_same_name_may_stand_on_two_shelves(shelf) -> None:
    registrations = Registrations()
    register = OwnedRegister(registrations, "p")
    register.model_vendor(type(shelf))
    register.command(click.Command("shelf"))
    assert registrations.commands.owned_by("p") == registrations.model_vendors.owned_by("p") == ("shelf",)


def test_a_command_needs_a_name() -> None:
    with pytest.raises(PluginError, match="'p'"):
        OwnedRegister(Registrations(), "p").command(click.Command(None))


def test_a_command_is_not_replaced_silently() -> None:
    registrations = Registrations()
    OwnedRegister(registrations, "one").command(click.Command("hum"))
    with pytest.raises(DuplicateNameError, match=r"'one' and 'two'.*'hum'"):
        OwnedRegister(registrations, "two").command(click.Command("hum"))


def test_a_format_that_no_extra_brings_has_no_hint() -> None:
    assert install_hint("no-such-format") is None


def test_a_format_with_an_extra_has_the_command() -> None:
    from importlib.metadata import metadata

    extra = (metadata("rbee").get_all("Provides-Extra") or [])[0]
    assert install_hint(extra) == f"pip install 'rbee[{extra}]'"
