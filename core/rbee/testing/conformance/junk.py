"""Files that look like a model by name and are none by content."""

from __future__ import annotations

from pathlib import Path

JUNK = b"this is no model\n" * 1024


def junk_model(model: Path, folder: Path) -> Path:
    """A copy of the names of `model`, a file or a folder, below `folder`, filled with junk."""
    junk = folder / f"junk-{model.name}"
    if not model.is_dir():
        junk.write_bytes(JUNK)
        return junk
    for source in model.rglob("*"):
        if source.is_file():
            target = junk / source.relative_to(model)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(JUNK)
    return junk
