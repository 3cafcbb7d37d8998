"""A registry that shares no files with the queen hears whose certificates hold no more."""

from collections.abc import Iterator

import httpx2
import pytest
from rbee.testing.colony import eventually
from rbee.testing.networks import Network, network, why_not
from rbee.testing.site import Site
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role


@pytest.fixture
def net() -> Iterator[Network]:
    if (why := why_not()) is not None:
        pytest.skip(why)
    with network() as made:
        for name in ("first", "tower", "attic"):
            made.join(name)
        yield made


@pytest.fixture
def site(net: Network, make_site) -> Site:
    """The registry has a machine, a home and a certificate of its own."""
    made = make_site({}, address=net.address("first"), prefix=net.prefix("first"))
    authority = Authority(made.machines["first"].home / "config" / "ca")
    authority.open()
    tower = made.machine("tower", net.address("tower"), net.prefix("tower"), joined=False)
    tower.join(authority, Role.REGISTRY, "registry")
    made.registry = made.program("registry", tower)
    attic = made.machine("attic", net.address("attic"), net.prefix("attic"))
    for program in (made.registry, made.queen, made.program("hive", attic)):
        program.machine.settings["registry.url"] = made.registry.url
        program.start()
    return made


def identity(site: Site, name: str) -> Identity:
    return Identity(site.machines[name].home / "config" / "identity")


def test_a_registry_on_a_machine_of_its_own_hears_at_once_of_what_was_revoked(site: Site) -> None:
    eventually(lambda: ("hive", "attic") in site.components(), 30)
    attic, tower = identity(site, "attic"), identity(site, "tower")
    assert tower.revoked == frozenset()
    with httpx2.Client(verify=attic.client_context(), trust_env=False, timeout=20) as client:

        def asked() -> httpx2.Response:
            # The dictionary is the client's afterwards.
            name = {"sni_hostname": "registry.rbee.internal"}
            return client.get(f"{site.registry.url}/v1/registry/components", extensions=name)

        assert asked().status_code == 200
        done = site.machines["first"].cli("ca", "revoke", "hive", "attic", "--yes")
        assert done.returncode == 0, done.stderr
        # Sooner than with any beat or renewal.
        eventually(lambda: attic.peer.serial in tower.revoked, 10)
        answer = asked()
        assert (answer.status_code, "revoked" in answer.text) == (403, True)
