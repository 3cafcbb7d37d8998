"""The ways in which families of models write calls of tools."""

from __future__ import annotations

from typing import Literal

import msgspec

from rbee.contract.tokenizer import Tokenizer


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """One way.

    Attributes:
        name: of the family that made it known.
        body: what a call is: a JSON object with name and arguments, the name and then the arguments alone, or elements.
        begin: what calls begin with; empty where a call is the whole answer.
        end: what a call ends with; empty where nothing does.
        separator: between two calls, where they do not begin and end each for itself.
        opened: calls stand in a JSON array.
        arguments: key of the arguments, where the body is an object.
        optional: `begin` may be left out.
    """

    name: str
    body: Literal["object", "named", "elements"] = "object"
    begin: str = ""
    end: str = ""
    separator: str = ""
    opened: bool = False
    arguments: str = "arguments"
    optional: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts by which the style is known, for tokens that are otherwise not shown."""
        return tuple(mark for mark in (self.begin, self.end, NAMED if self.body == "named" else "") if mark)

    def shown(self, tokenizer: Tokenizer) -> frozenset[int]:
        """Control tokens that stand for one of the marks."""
        found = (tokenizer.encode(mark) for mark in self.marks)
        return frozenset(tokens[0] for tokens in found if len(tokens) == 1) & tokenizer.control


NAMED = "[ARGS]"
"""Between name and arguments, where the body is not an object."""

HERMES = Style(name="hermes", begin="<tool_call>", end="</tool_call>")
QWEN_CODER = Style(name="qwen", body="elements", begin="<tool_call>", end="</tool_call>")
LLAMA3 = Style(name="llama3", begin="<|python_tag|>", separator=";", arguments="parameters", optional=True)
MISTRAL = Style(name="mistral", begin="[TOOL_CALLS]", opened=True)
MISTRAL_NAMED = Style(name="mistral-named", body="named", begin="[TOOL_CALLS]")
BARE = Style(name="json", separator=";", optional=True)


def style_of(template: str) -> Style | None:
    """The style of a model, by its chat template; None where the template knows no tools.

    The order counts: Qwen's coders write elements within Hermes' tags, Llama's templates name ``parameters``.
    """
    if "tools" not in template:
        return None
    if "[TOOL_CALLS]" in template:
        return MISTRAL_NAMED if NAMED in template else MISTRAL
    if "<tool_call>" in template:
        return QWEN_CODER if "<function=" in template else HERMES
    if "<|python_tag|>" in template or "ipython" in template:
        return LLAMA3
    return BARE
