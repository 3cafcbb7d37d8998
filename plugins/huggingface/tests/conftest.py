"""What all tests of this plugin share: a hub on loopback, and an environment in which nothing else is set."""

import os
import sys

import pytest
from rbee.testing.hub import Hub
from rbee_huggingface import HuggingFaceVendor

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "XDG_CACHE")) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    yield
    if (library := sys.modules.get("huggingface_hub")) is not None:
        # It keeps one client for all who use it, with its connections and the proxies that it began with.
        library.utils.close_session()


@pytest.fixture
def hub(monkeypatch):
    with Hub() as started:
        monkeypatch.setenv("HF_ENDPOINT", started.url)
        yield started


@pytest.fixture
def vendor():
    return HuggingFaceVendor()
