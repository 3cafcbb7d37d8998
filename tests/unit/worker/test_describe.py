"""The contract of workers in writing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rbee.contract.version import CONTRACT_VERSION
from rbee.http.front import OPENAI_POSTS
from rbee.worker.app import HANDLERS
from rbee.worker.describe import document

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "worker-api.yaml"

pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document()


def test_the_document_is_what_the_types_make_of_it(made):
    assert msgspec.yaml.decode(PAGE.read_bytes()) == made, (
        "make it anew: uv run --group test python -m rbee.worker.describe > docs/reference/worker-api.yaml"
    )


def test_it_has_every_route_and_the_version(made):
    assert made["info"]["version"] == CONTRACT_VERSION
    own = {re.sub(r"{(\w+):\w+}", r"{\1}", path) for handler in HANDLERS for path in handler.paths}
    assert set(made["paths"]) == own | set(OPENAI_POSTS)
    assert set(made["webhooks"]) == {"register", "beat"}


def test_every_reference_leads_somewhere(made):
    names = set(re.findall(r"#/components/schemas/([\w.]+)", msgspec.json.encode(made).decode()))
    assert names <= set(made["components"]["schemas"])


def test_the_routes_that_stream_say_what_comes(made):
    for path in ("/v1/infer", "/v1/chat/completions", "/v1/completions"):
        assert "text/event-stream" in made["paths"][path]["post"]["responses"]["200"]["content"]
