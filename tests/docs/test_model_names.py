"""The page about names of models says what the parser does."""

from __future__ import annotations

import re
from pathlib import Path

from rbee.contract.model_refs import parse_ref

ROW = re.compile(r"^\| `([^`]+)` \| [^|]+ \| (?:`([^`]+)`|the (?:same|vendor's|absolute path)) \|$", re.MULTILINE)


def test_every_form_in_the_table_has_the_canonical_name_beside_it(docs: Path) -> None:
    page = (docs / "reference" / "model-names.md").read_text("utf-8")
    rows = ROW.findall(page)
    assert len(rows) == len(re.findall(r"^\| `", page, re.MULTILINE))
    assert {parse_ref(text).kind for text, _ in rows} == {"hub", "name", "path", "url"}
    for text, canonical in rows:
        ref = parse_ref(text)
        if canonical:
            assert ref.canonical("file" if ref.kind == "path" else "hf") == canonical
        elif ref.kind == "url":
            assert ref.canonical("hf") == text
