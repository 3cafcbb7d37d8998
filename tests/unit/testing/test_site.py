"""The kit's colonies in parts, before anything runs."""

from __future__ import annotations

import socket
import stat

import pytest
from rbee.contract.errors import PortTakenError
from rbee.http.ports import listen
from rbee.testing import networks
from rbee.testing.networks import why_not
from rbee.testing.site import Site


def test_every_machine_of_a_site_has_the_same_token_for_this_user_alone(make_site):
    site = make_site()
    machines = [site.machines["first"], site.machine("second")]
    assert {one.token for one in machines} == {site.token}
    assert {stat.S_IMODE(one.token_file.stat().st_mode) for one in machines} == {0o600}


def test_a_port_that_is_kept_is_given_to_the_program_again_and_to_nobody_by_chance(make_site):
    port = make_site().free_port()
    for _ in range(2):
        listen("127.0.0.1", port, "a program").close()
    with listen("127.0.0.1", port, "a program"), pytest.raises(PortTakenError):
        listen("127.0.0.1", port, "another one")
    with pytest.raises(OSError, match="in use"), socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))


def test_programs_are_told_where_the_registry_will_be_before_it_runs(make_site):
    site: Site = make_site()
    hive = site.hive("alpha")
    assert hive.machine.settings["registry.url"] == site.registry.url
    assert hive.machine.settings["hive.id"] == "alpha"
    assert len({program.port for program in site.programs}) == 3


def test_a_program_that_does_not_come_up_says_why(make_site):
    site: Site = make_site({"server.log_level": "chatty"})
    with pytest.raises(AssertionError, match="log_level"):
        site.registry.start()


def test_where_a_command_is_missing_there_are_no_networks_and_it_is_named(monkeypatch):
    monkeypatch.setattr(networks.sys, "platform", "linux")
    monkeypatch.setattr(networks.shutil, "which", lambda name: None)
    assert why_not() == "there is no command 'ip'"


def test_networks_are_a_thing_of_linux(monkeypatch):
    monkeypatch.setattr(networks.sys, "platform", "darwin")
    assert "Linux" in why_not()
