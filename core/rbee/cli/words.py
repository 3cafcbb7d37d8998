"""Words on a command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.types import StringParamType

from rbee.cli.asking import absolute


class _NotEmpty(StringParamType):
    """A text that names something: an empty one is mostly a shell variable that was not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("it is empty.", param, ctx)
        return super().convert(value, param, ctx)


NOT_EMPTY = _NotEmpty()
"""Type of such an argument or option."""


class _ModelName(_NotEmpty):
    """What a person types for a model, with a relative path made absolute."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = str(super().convert(value, param, ctx))
        if not found.strip():
            self.fail("it is empty.", param, ctx)
        try:
            found.encode()
        except UnicodeEncodeError:
            self.fail(f"{found!r} is not text in UTF-8.", param, ctx)
        return absolute(found)


MODEL = _ModelName()
"""Type of an argument that names a model."""


class _FilePath(click.Path):
    """A path of a file, which an empty text is none of: Python takes it for the folder one is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("it is empty.", param, ctx)
        return super().convert(value, param, ctx)


FILE = _FilePath(path_type=Path)
"""Type of a file that is read."""

NEW_FILE = _FilePath(path_type=Path, dir_okay=False)
"""Type of a file that is written."""


def pairs(example: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, str]]:
    """Callback of an option that takes NAME=VALUE and may be repeated; the last of a name wins.

    Args:
        example: one that is right, for whoever got it wrong.
    """

    def split(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
        found = {}
        for one in value:
            name, equals, given = one.partition("=")
            if not equals or not name.strip():
                raise click.BadParameter(f"{one!r} is not NAME=VALUE, as in {example}.")
            found[name.strip()] = given
        return found

    return split
