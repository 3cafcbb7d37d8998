"""Python examples run, against a colony where they need one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from docs.reading import blocks, pages, short
from rbee.testing.colony import Colony
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

NEEDS_COLONY = "127.0.0.1:7833"
FILES = {"tutorial.md"}
"""Pages whose examples are whole files: those are compared, and run where wheels are installed."""
PYTHON_PAGES = [page for page in pages() if page.name not in FILES and blocks(page.read_text("utf-8"), "python")]
JSON_PAGES = [page for page in pages() if blocks(page.read_text("utf-8"), "json")]


def run(page: Path, text: str, folder: Path) -> dict[str, object]:
    """Run a page's examples one after the other in one name space, which is returned."""
    # The same lines in a file of the same name, so that a failure points at the right one.
    copy = folder / page.name
    copy.write_text(text, encoding="utf-8")
    document = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()]).parse(copy)
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        for one in document.namespace.values():
            if hasattr(one, "close") and not isinstance(one, type):
                one.close()
    return document.namespace


@pytest.mark.parametrize(
    "page", [page for page in PYTHON_PAGES if NEEDS_COLONY not in page.read_text("utf-8")], ids=short
)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    run(page, page.read_text("utf-8"), tmp_path)


@pytest.mark.parametrize("page", [page for page in PYTHON_PAGES if NEEDS_COLONY in page.read_text("utf-8")], ids=short)
def test_examples_run_with_a_colony(
    page: Path, tmp_path: Path, shared_colony: Colony, capsys: pytest.CaptureFixture[str]
) -> None:
    address = shared_colony.queen_url.removeprefix("http://")
    run(page, page.read_text("utf-8").replace(NEEDS_COLONY, address), tmp_path)
    assert "Python" in capsys.readouterr().out


@pytest.mark.parametrize("page", JSON_PAGES, ids=short)
def test_json_examples_are_json(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "json"):
        json.loads(block)
