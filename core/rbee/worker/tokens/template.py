"""Chat templates: a conversation as the text that the model was trained to go on from.

Format: Jinja with the additions of `transformers` (``raise_exception``, ``strftime_now``, loop controls, ``generation``
blocks).  Templates come with models from anywhere, and run in Jinja's sandbox.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import msgspec

from rbee.contract.errors import InvalidRequestError, ModelFileError

_SOURCE_LIMIT = 1024 * 1024
"""Characters of a template: the largest that are published have some 30,000."""


class ChatTemplate:
    """A model's template, compiled.

    Args:
        source: of the template.
        words: texts that it refers to by name.

    Attributes:
        tools: it writes tools down.
        source: of the template.

    Raises:
        ModelFileError: it is no template.
    """

    def __init__(self, source: str, words: Mapping[str, str]) -> None:
        if len(source) > _SOURCE_LIMIT:
            raise ModelFileError(f"The model's chat template has {len(source)} characters; it is none.")
        environment = _environment()
        try:
            tree = environment.parse(source)
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise ModelFileError(f"The model's chat template does not compile: {error}.") from error
        self.source = source
        self._words = dict(words)
        self._names = jinja2.meta.find_undeclared_variables(tree)
        self.tools = "tools" in self._names
        self._developer = "developer" in source

    def takes(self, variable: str) -> bool:
        """Whether the template looks at a variable."""
        return variable in self._names

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
        continues: bool = False,
    ) -> str:
        """The text up to where the model's answer begins.

        Args:
            messages: of the conversation, contents as plain texts.
            tools: that the model may call, in OpenAI's shape.
            variables: more that the template may look at, ``enable_thinking`` for one.
            continues: the last message is the assistant's and not complete: the text ends with its content.

        Raises:
            InvalidRequestError: the template refuses the conversation; the message says what it says.
        """
        told = [self._known(message) for message in messages]
        mark, begun = "", ""
        if continues:
            mark = f"mark{uuid.uuid4().hex}"
            begun = str(told[-1].get("content") or "")
            told[-1] = {**told[-1], "content": mark}
        given = {**(variables or {}), **self._words, "messages": told, "add_generation_prompt": not continues}
        if tools:
            given["tools"] = [dict(tool) for tool in tools]
        try:
            text = self._template.render(given)
        except Exception as error:  # a template is foreign code, and fails in whatever way it likes
            raise InvalidRequestError(
                f"The model's chat template does not take this conversation: {error}.", param="messages"
            ) from error
        if not continues:
            return text
        before, found, _ = text.rpartition(mark)
        if not found:
            raise InvalidRequestError(
                "The model's chat template does not show the assistant's last message; it cannot be gone on with.",
                param="continue_final_message",
            )
        return before + begun

    def _known(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A message in roles that the template has: only new ones know the developer."""
        told = dict(message)
        if told.get("role") == "developer" and not self._developer:
            told["role"] = "system"
        return told


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks what the model has said, for training; for a prompt it is what stands in it."""

    tags = {"generation"}  # noqa: RUF012  # Jinja's own attribute

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    return environment


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    """As `json.dumps` writes it, with letters as they are: Jinja's own filter escapes for web pages."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _now(pattern: str) -> str:
    return dt.datetime.now(tz=dt.UTC).astimezone().strftime(pattern)
