"""Words on a command line."""

from __future__ import annotations

from typing import Any

import click
from click.types import StringParamType


class _NotEmpty(StringParamType):
    """A text that names something: an empty one is mostly a shell variable that was not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("it is empty.", param, ctx)
        return super().convert(value, param, ctx)


NOT_EMPTY = _NotEmpty()
"""Type of such an argument or option."""
