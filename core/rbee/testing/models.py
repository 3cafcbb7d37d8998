"""The small real language model that lies beside the project's checkout, for tests that run one."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path("shared") / "models"


def shared_models(start: Path) -> Path:
    """The folder with the models, beside the checkout that `start` lies in.

    Skips the test where there is none: a checkout alone has not got it.
    """
    for parent in start.resolve().parents:
        if (parent / FOLDER).is_dir():
            return parent / FOLDER
    pytest.skip(f"there is no folder {str(FOLDER)!r} beside this checkout")
