"""Searches."""

from datetime import UTC, datetime

import pytest
from rbee.testing.hub import samples


def test_a_search_finds_models_with_what_is_known_of_them(vendor, hub):
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    hub.add(
        "org/tiny-GGUF",
        samples.gguf_files(),
        tags=["gguf", "license:mit"],
        pipeline_tag="text-generation",
        downloads=7,
        likes=3,
        updated_at=moment,
        gated="manual",
    )
    (hit,) = vendor.search("tiny", 10)
    assert (hit.name, hit.vendor, hit.formats) == ("org/tiny-GGUF", "huggingface", ("gguf",))
    assert (hit.downloads, hit.likes, hit.updated_at, hit.gated) == (7, 3, moment, True)
    assert hit.summary == "text-generation, mit"


def test_the_most_downloaded_come_first_and_no_more_than_asked_for(vendor, hub):
    for number in range(9):
        hub.add(f"org/tiny{number}", samples.gguf_files(quantizations=("Q8_0",)), tags=["gguf"], downloads=number)
    assert [hit.name for hit in vendor.search("tiny", 2)] == ["org/tiny8", "org/tiny7"]


def test_formats_are_told_by_tags_and_names(vendor, hub):
    hub.add("org/tiny-mlx", samples.mlx_files(), tags=["mlx"], library_name="mlx", downloads=4)
    hub.add("org/tiny-exl3", samples.exl_files(4.0, version=3), tags=["exl3"], downloads=3)
    hub.add("org/tiny", samples.safetensors_files(), downloads=2)
    hub.add("org/tiny-pickle", samples.pickle_files(), downloads=9)
    hub.add("org/tiny-pictures", samples.safetensors_files(), pipeline_tag="text-to-image", downloads=9)
    assert [(hit.name, hit.formats) for hit in vendor.search("tiny", 10)] == [
        ("org/tiny-mlx", ("mlx",)),
        ("org/tiny-exl3", ("exl3",)),
        ("org/tiny", ("safetensors",)),
    ]


@pytest.mark.parametrize(("text", "limit"), [("", 5), ("  ", 5), ("tiny", 0)])
def test_a_search_for_nothing_asks_nothing(vendor, hub, text, limit):
    assert vendor.search(text, limit) == ()
    assert not hub.ledger.requests()


def test_private_models_are_found_by_those_who_may_see_them_only(vendor, hub, monkeypatch):
    from rbee.testing.hub import MEMBER

    hub.add("org/tiny-secret", samples.gguf_files(), tags=["gguf"], private=True)
    assert vendor.search("tiny", 5) == []
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    assert len(vendor.search("tiny", 5)) == 1
