"""The pytest plugin of rbee, loaded by its entry point in every test run where rbee is installed.

It imports nothing but pytest, so that test runs which do not use the kit pay nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rbee.testing.colony import Colony, Home
    from rbee.testing.site import Site

# The kit's promises are plain asserts in an installed package: without this they fail without saying why.
pytest.register_assert_rewrite(
    "rbee.testing.conformance",
    "rbee.testing.colony",
    "rbee.testing.programs",
    "rbee.testing.questions",
    "rbee.testing.site",
)


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Makes homes without a colony: ``make_home(environment={...}, **{"worker.slots": "1"})``."""
    from rbee.testing.colony import Home

    homes: list[Home] = []

    def make(*, environment: dict[str, str] | None = None, **settings: str) -> Home:
        homes.append(Home(tmp_path / f"h{len(homes)}", settings, environment))
        return homes[-1]

    yield make
    _clean_up(homes)


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    """A fresh home without a colony."""
    return make_home()


@pytest.fixture
def make_colony(tmp_path: Path) -> Iterator[Callable[..., Colony]]:
    """Starts colonies, each in a home of its own: ``make_colony(**{"hive.threads": "2"})``."""
    from rbee.testing.colony import Colony

    colonies: list[Colony] = []

    def make(*, environment: dict[str, str] | None = None, **settings: str) -> Colony:
        colonies.append(Colony(tmp_path / f"c{len(colonies)}", settings, environment))
        return colonies[-1].start_up()

    yield make
    _clean_up(colonies)


@pytest.fixture
def colony(make_colony: Callable[..., Colony]) -> Colony:
    """A colony for one test, which may harm it."""
    return make_colony()


@pytest.fixture(scope="session")
def shared_colony(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Colony]:
    """One colony for all tests that do it no harm: they may load models, and must not count on an empty machine."""
    from rbee.testing.colony import Colony

    shared = Colony(tmp_path_factory.mktemp("shared"))
    try:
        yield shared.start_up()
    finally:
        _clean_up([shared])


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes colonies in parts, of which nothing runs yet: ``make_site({"worker.heartbeat_s": "1"})``.

    What the programs have written is printed at the end, which pytest shows for tests that fail.
    """
    from rbee.testing.site import Site

    sites: list[Site] = []

    def make(settings: dict[str, str] | None = None, **place: Any) -> Site:
        sites.append(Site(tmp_path / f"s{len(sites)}", settings, **place))
        return sites[-1]

    yield make
    try:
        _clean_up(sites)
    finally:
        for site in sites:
            sys.stdout.write(site.said())


def _clean_up(homes: Sequence[Home | Site]) -> None:
    """Each of them, also when an earlier one complains."""
    complaints = []
    for one in homes:
        try:
            one.clean_up()
        except AssertionError as error:
            complaints.append(str(error))
    assert not complaints, "; ".join(complaints)
