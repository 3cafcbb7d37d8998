"""From what a person types to artefacts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rbee.catalog import Resolver
from rbee.catalog.vendor_calls import VendorCalls
from rbee.contract import CancelToken, FetchProgress, ModelVariant, ModelVendor
from rbee.contract.errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelFileError,
    ModelNotFoundError,
    PermissionDeniedError,
    PluginError,
    RbeeError,
    UnavailableError,
    UnreachableError,
)


async def test_the_first_vendor_that_knows_a_name_answers(shelf, sulking) -> None:
    variant = shelf.put("m", {"a": b""})
    assert list(await Resolver([sulking, shelf]).resolve("m")) == [variant]


async def test_a_vendor_is_asked_only_for_names_of_its_grammar(shelf) -> None:
    with pytest.raises(ModelNotFoundError):
        await Resolver([shelf]).resolve("org/m")
    assert shelf.resolved == []


async def test_an_unknown_name_suggests_the_nearest(shelf) -> None:
    shelf.put("tinymodel", {})
    with pytest.raises(ModelNotFoundError, match=r"'tinymodle'.*Did you mean 'tinymodel'\?"):
        await Resolver([shelf]).resolve("tinymodle")


async def test_a_name_like_no_other_lists_what_there_is(shelf) -> None:
    shelf.put("b", {})
    shelf.put("a", {})
    with pytest.raises(ModelNotFoundError, match=r"Known here: a, b\."):
        await Resolver([shelf]).resolve("zzzzzz")


async def test_without_vendors_nothing_is_known() -> None:
    with pytest.raises(ModelNotFoundError, match="'m'"):
        await Resolver([]).resolve("m")


async def test_a_vendors_own_words_are_kept(sulking) -> None:
    with pytest.raises(ModelNotFoundError, match="sulking has no 'm'"):
        await Resolver([sulking]).resolve("m")


@pytest.mark.parametrize("ref", ["", "x" * 4097, "line\nbreak", "nul\0"])
async def test_an_unusable_name_reaches_no_vendor(shelf, ref: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await Resolver([shelf]).resolve(ref)
    assert caught.value.param == "model"
    assert shelf.resolved == []


async def test_a_vendor_whose_list_is_broken_does_not_hide_the_others(shelf, sulking, caplog) -> None:
    variant = shelf.put("m", {})
    assert await Resolver([sulking, shelf]).known() == [variant]
    assert "'sulking'" in caplog.text


async def test_lists_are_made_anew_every_few_seconds_and_not_for_every_unknown_name(shelf, clock, monkeypatch) -> None:
    listed: list[None] = []
    known = type(shelf).known
    monkeypatch.setattr(type(shelf), "known", lambda self: listed.append(None) or known(self))
    resolver = Resolver([shelf], clock=clock)
    await asyncio.gather(*(resolver.resolve(f"m{number}") for number in range(20)), return_exceptions=True)
    assert len(listed) == 1
    clock.tick(10)
    await resolver.known()
    assert len(listed) == 2


def test_a_vendor_is_found_by_name(shelf) -> None:
    assert Resolver([shelf]).vendor("shelf") is shelf
    with pytest.raises(ModelNotFoundError, match="'moon'"):
        Resolver([shelf]).vendor("moon")


class DownVendor(ModelVendor):
    """Takes every name; its source does not answer."""

    name = "down"

    def supports(self, ref: str) -> bool:
        return True

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        raise UnreachableError(f"down does not answer for {ref!r}")

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        raise AssertionError("nothing of it can be fetched")


async def test_a_vendor_that_cannot_be_reached_hides_no_other(shelf, sulking) -> None:
    variant = shelf.put("m", {})
    assert list(await Resolver([DownVendor(), shelf]).resolve("m")) == [variant]
    with pytest.raises(UnreachableError, match="down does not answer for 'n'"):
        await Resolver([sulking, DownVendor(), shelf]).resolve("n")


async def test_whatever_anybody_has_published_is_not_asked_for_by_a_stranger(shelf, sulking, monkeypatch) -> None:
    monkeypatch.setattr(DownVendor, "names_anything", True)
    variant = shelf.put("m", {})
    shelf.put("tinymodel", {})
    resolver = Resolver([DownVendor(), shelf])
    assert list(await resolver.resolve("m", trusted=False)) == [variant], "from a vendor of the operator's own"
    with pytest.raises(ModelNotFoundError, match=r"pull it first \(`rbee pull n`\), or send the token"):
        await resolver.resolve("n", trusted=False)
    with pytest.raises(ModelNotFoundError, match=r"Did you mean 'tinymodel'\?"):
        await resolver.resolve("tinymodle", trusted=False)
    with pytest.raises(UnreachableError):
        await resolver.resolve("n")


async def test_files_are_not_looked_at_for_a_stranger(shelf, monkeypatch) -> None:
    monkeypatch.setattr(type(shelf), "names_files", True)
    shelf.put("m", {})
    with pytest.raises(PermissionDeniedError, match="names a file"):
        await Resolver([shelf]).resolve("m", trusted=False)
    assert shelf.resolved == []


@pytest.mark.parametrize("ref", ["a/b/c/d", "hf:", "org/repo@"])
async def test_a_form_that_nobody_could_mean_is_told_as_such(shelf, ref: str) -> None:
    with pytest.raises(InvalidRequestError):
        await Resolver([]).resolve(ref)
    assert shelf.resolved == []


class OddVendor(ModelVendor):
    """Takes every name, and does what a test says."""

    def __init__(self, name: str, answer: Callable[[], Sequence[ModelVariant]], *, anything: bool = False) -> None:
        self.name = name  # type: ignore[misc]
        self.names_anything = anything  # type: ignore[misc]
        self.answer = answer
        self.asked: list[str] = []

    def supports(self, ref: str) -> bool:
        return True

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        self.asked.append(ref)
        return self.answer()

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        raise AssertionError("nothing of it can be fetched")


def raising(error: Exception) -> Callable[[], Sequence[ModelVariant]]:
    def answer() -> Sequence[ModelVariant]:
        raise error

    return answer


@pytest.mark.parametrize(
    "error",
    [
        ModelFileError("no model"),
        PermissionDeniedError("gated"),
        ConfigurationError("a variable is wrong"),
        UnavailableError("no time"),
        ValueError("oh"),
        StopIteration(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_vendor_that_fails_in_any_way_hides_no_other(shelf, error: Exception, caplog) -> None:
    variant = shelf.put("m", {})
    resolver = Resolver([OddVendor("odd", raising(error)), shelf])
    assert list(await resolver.resolve("m")) == [variant]
    with pytest.raises(RbeeError) as caught:
        await resolver.resolve("n")
    if isinstance(error, RbeeError):
        assert caught.value is error
    else:
        assert isinstance(caught.value, PluginError)
        assert "'odd'" in caught.value.message
        assert "'odd'" in caplog.text


async def test_the_first_error_that_says_more_than_not_found_is_told(sulking) -> None:
    vendors = [sulking, OddVendor("a", raising(ModelFileError("it is broken"))), DownVendor()]
    with pytest.raises(ModelFileError, match="it is broken"):
        await Resolver(vendors).resolve("m")


async def test_a_vendor_that_cannot_say_what_it_supports_hides_no_other(shelf, sulking, monkeypatch, caplog) -> None:
    variant = shelf.put("m", {})
    monkeypatch.setattr(type(sulking), "supports", lambda self, ref: 1 / 0)
    assert list(await Resolver([sulking, shelf]).resolve("m")) == [variant]
    assert "'sulking'" in caplog.text


async def test_a_plugins_own_words_are_not_asked_of_a_hub_first(shelf) -> None:
    variant = shelf.put("m", {})
    hub = OddVendor("hub", lambda: (), anything=True)
    resolver = Resolver([hub, shelf])
    assert list(await resolver.resolve("m")) == [variant]
    assert hub.asked == []
    with pytest.raises(ModelNotFoundError):
        await resolver.resolve("n")
    assert hub.asked == ["n"]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


async def test_a_vendor_that_hangs_is_left_and_hides_no_other(shelf, gate: threading.Event) -> None:
    variant = shelf.put("m", {})
    hanging = OddVendor("hanging", lambda: gate.wait(60) and ())
    resolver = Resolver([hanging, shelf], VendorCalls(deadline_s=0.1))
    assert list(await resolver.resolve("m")) == [variant]
    with pytest.raises(UnreachableError, match=r"'hanging' did not answer within 0\.1 s"):
        await resolver.resolve("n")


def test_a_vendor_that_hangs_does_not_hold_up_the_programs_end(gate: threading.Event) -> None:
    async def impatient() -> Any:
        async with asyncio.timeout(0.1):
            await Resolver([OddVendor("hanging", lambda: gate.wait(60) and ())]).resolve("m")

    # The loop waits at its close for the threads of its own pool.
    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert not gate.is_set()
    assert any(thread.name == "vendor hanging" and thread.daemon for thread in threading.enumerate())


async def test_what_was_perhaps_meant_is_told_also_when_a_hub_does_not_answer(shelf) -> None:
    shelf.put("demo", {"m.blob": b"abc"})

    class Away(type(shelf)):
        name = "away"
        names_anything = True

        def resolve(self, ref: str) -> None:
            raise UnreachableError("The hub does not answer.")

    with pytest.raises(UnreachableError, match=r"does not answer\. Did you mean 'demo'"):
        await Resolver([shelf, Away()]).resolve("demi")
    with pytest.raises(UnreachableError, match=r"does not answer\.\Z"):
        await Resolver([shelf, Away()]).resolve("nothing-like-it")
