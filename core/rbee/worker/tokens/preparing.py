"""From a request to what the engine gets: templates, tokens, constraints, seeds."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection

import msgspec

from rbee.contract.errors import ContextLengthError, EngineUnavailableError, InvalidRequestError
from rbee.contract.token_engine import LoadedModel, TokenRequest
from rbee.contract.types import Capability
from rbee.worker.tokens.ask import Ask
from rbee.worker.tokens.calls import CallParser, Style, forcing_grammar, style_of
from rbee.worker.tokens.constraints import AfterReasoning, Followed, Grammars
from rbee.worker.tokens.detokenizer import Detokenizer
from rbee.worker.tokens.reading import Reading
from rbee.worker.tokens.sections import Marks, Reasoning, begun, marks_of
from rbee.worker.tokens.stops import StopFilter
from rbee.worker.tokens.template import ChatTemplate


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers to a request.

    Attributes:
        request: for the engine.
        number: of its prompt among the request's, from 0.
        ends: tokens that end it.
        reading: of its tokens.
    """

    request: TokenRequest
    number: int
    ends: frozenset[int]
    reading: Reading


class Preparing:
    """Prepares requests for one loaded model; `prepare` may run in any thread.

    Args:
        model: what the engine has loaded.
        capabilities: of the engine, with the kind of model that it is.
        sampling: fields of `Sampling` that the engine honours.

    Attributes:
        capabilities: of the worker: what of the engine's the model can do.

    Raises:
        ModelFileError: the model's chat template is none.
    """

    def __init__(self, model: LoadedModel, capabilities: Collection[str], sampling: Collection[str]) -> None:
        self._tokenizer = model.tokenizer
        self._context_length = model.context_length
        self._honoured = frozenset(sampling)
        source = model.tokenizer.template
        self._template = None if source is None else ChatTemplate(source, model.tokenizer.words)
        self._style: Style | None = None if source is None else style_of(source)
        self._marks: Marks | None = None if source is None else marks_of(source)
        self._grammars = Grammars(model.tokenizer)
        self.capabilities = self._narrowed(frozenset(capabilities))

    def _narrowed(self, capabilities: frozenset[str]) -> frozenset[str]:
        lost: set[str] = set()
        if self._template is None:
            lost |= {Capability.CHAT, Capability.CONTINUATION}
        if self._style is None or self._template is None or not self._template.tools:
            lost.add(Capability.TOOLS)
        if not self._grammars.available() or not self._tokenizer.ends:
            # Without an end that may come there is nothing that may follow a text which is complete.
            lost |= {Capability.JSON_SCHEMA, Capability.GRAMMAR}
        return capabilities - lost

    def prepare(self, ask: Ask, name: str) -> list[Prepared]:
        """All answers that a request asks for, in their order.

        Args:
            ask: the request.
            name: of the request; each answer's id begins with it.

        Raises:
            InvalidRequestError: it asks for what this model or engine does not do; `param` says what.
            ContextLengthError: a prompt leaves no room for an answer.
        """
        self._check(ask)
        prompts, begins = self._prompts(ask)
        constraint = self._constraint(ask, begins=begins)
        seed = secrets.randbits(62) if ask.seed is None else ask.seed
        prepared: list[Prepared] = []
        for number, prompt in enumerate(prompts):
            room = self._context_length - len(prompt)
            if room < 1:
                raise ContextLengthError(
                    f"The prompt has {len(prompt)} tokens, the context {self._context_length}; shorten the prompt.",
                    param="prompt" if ask.messages is None else "messages",
                )
            for _ in range(ask.n):
                own = (seed + len(prepared) + 2**63) % 2**64 - 2**63
                request = TokenRequest(
                    request_id=f"{name}-{uuid.uuid4().hex}",
                    prompt=prompt,
                    max_tokens=room if ask.max_tokens is None else min(room, ask.max_tokens),
                    sampling=msgspec.structs.replace(ask.sampling, seed=own),
                    constraint=None if constraint is None else constraint.fresh(),
                    top_logprobs=ask.top_logprobs,
                    ignore_ends=ask.ignore_ends,
                )
                ends = frozenset[int]() if ask.ignore_ends else self._tokenizer.ends
                reading = self._reading(ask, begins=begins)
                prepared.append(Prepared(request=request, number=number, ends=ends, reading=reading))
        return prepared

    def _check(self, ask: Ask) -> None:
        for name in sorted(ask.wanted - self._honoured):
            raise InvalidRequestError(f"This worker's engine does not support {name!r}; leave it out.", param=name)
        if ask.continues:
            self._need(Capability.CONTINUATION, "continue_final_message", "go on with a message that has begun")
        if ask.calling.tools:
            self._need(Capability.TOOLS, "tools", "call tools")
        if ask.calling.must:
            self._need(Capability.GRAMMAR, "tool_choice", "be made to call a tool")
        if ask.top_logprobs is not None:
            self._need(Capability.LOGPROBS, "logprobs", "tell log probabilities")
        if ask.structure is not None:
            wanted = Capability.JSON_SCHEMA if ask.structure.kind == "json" else Capability.GRAMMAR
            self._need(wanted, ask.structure.param, "hold its answers to a schema or grammar")
        held_by = "tool_choice" if ask.calling.must else None if ask.structure is None else ask.structure.param
        if held_by is not None and ask.ignore_ends:
            raise InvalidRequestError(
                f"'ignore_eos' and {held_by!r} exclude each other: a text that is complete must end.",
                param="ignore_eos",
            )
        size = self._tokenizer.size
        for token in ask.sampling.logit_bias:
            if token >= size:
                raise InvalidRequestError(
                    f"'logit_bias' names token {token}; the model's vocabulary has {size}.", param="logit_bias"
                )
        for name in ask.variables:
            if name in {"messages", "tools", "add_generation_prompt"} or not name.isidentifier():
                raise InvalidRequestError(
                    f"'chat_template_kwargs' cannot set {name!r}.", param=f"chat_template_kwargs.{name}"
                )

    def _need(self, capability: Capability, param: str, what: str) -> None:
        if capability not in self.capabilities:
            raise InvalidRequestError(f"This worker's model or engine cannot {what}; leave {param!r} out.", param=param)

    def _prompts(self, ask: Ask) -> tuple[list[tuple[int, ...]], bool]:
        """Tokens of each prompt, and whether they end within reasoning."""
        if ask.messages is None:
            return [self._bare(prompt) for prompt in ask.prompts], False
        if self._template is None:
            raise InvalidRequestError("The model has no chat template; use /v1/completions.", param="messages")
        text = self._template.render(
            ask.messages, tools=ask.calling.tools, variables=ask.variables, continues=ask.continues
        )
        tokens = tuple(self._tokenizer.encode(text))
        if not tokens:
            raise InvalidRequestError("The model's chat template makes nothing of these messages.", param="messages")
        return [tokens], begun(self._marks, text)

    def _bare(self, prompt: str | tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(prompt, str):
            tokens = (*self._tokenizer.before, *self._tokenizer.encode(prompt))
            if not tokens:
                raise InvalidRequestError("The prompt is empty; send at least one character.", param="prompt")
            return tokens
        if (most := max(prompt)) >= self._tokenizer.size:
            raise InvalidRequestError(
                f"The prompt names token {most}; the model's vocabulary has {self._tokenizer.size}.", param="prompt"
            )
        return prompt

    def _constraint(self, ask: Ask, *, begins: bool) -> Followed | None:
        inner = self._demanded(ask)
        if inner is None or not begins or self._marks is None:
            return inner
        return AfterReasoning(inner, self._tokenizer, self._marks.end)

    def _demanded(self, ask: Ask) -> Followed | None:
        if ask.calling.must:
            if self._style is None:
                raise EngineUnavailableError("The model calls no tools.")
            grammar = forcing_grammar(self._style, ask.calling.must, self._tokenizer, single=ask.calling.single)
            return self._grammars.lark(grammar, param="tools")
        one = ask.structure
        if one is None:
            return None
        if one.kind == "json":
            return self._grammars.json_schema(one.value, param=one.param)
        if one.kind == "regex":
            return self._grammars.regex(one.value, param=one.param)
        if one.kind == "choice":
            return self._grammars.choice(one.value, param=one.param)
        return self._grammars.gbnf(one.value, param=one.param)

    def _reading(self, ask: Ask, *, begins: bool) -> Reading:
        style = self._style if ask.calling.tools else None
        shown = frozenset[int]() if style is None else style.shown(self._tokenizer)
        chat = ask.messages is not None
        if chat and self._marks is not None:
            for mark in self._marks:
                shown |= frozenset(tokens) if len(tokens := self._tokenizer.encode(mark)) == 1 else frozenset()
        return Reading(
            text=Detokenizer(self._tokenizer, shown),
            stops=StopFilter(ask.stop),
            reasoning=Reasoning(self._marks if chat else None, begun=begins),
            calls=None if style is None else CallParser(style, ask.calling.tools, single=ask.calling.single),
        )
