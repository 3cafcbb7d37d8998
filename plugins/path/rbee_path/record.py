"""What is to be known of a server to run it as an engine: one file of TOML, checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from rbee.contract import Backend, Capability

from rbee_path.template import places_in

Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*\Z")]
Line = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Groups = Annotated[tuple[tuple[Line, ...], ...], Meta(max_length=128)]
Route = Annotated[str, Meta(max_length=256, pattern=r"^/[!-~]*\Z")]
Variables = Annotated[dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")], Line], Meta(max_length=64)]
Metric = Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z_:][A-Za-z0-9_:]*\Z")]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a record; a field that nobody knows is a mistake."""


class Ready(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the server can be asked.

    Attributes:
        path: answers 200 then.
        timeout_s: how long it may take to load.
        ask: make it complete one token besides; for a server that answers before it has loaded.
    """

    path: Route = "/health"
    timeout_s: Annotated[float, Meta(gt=0, le=7200)] = 600.0
    ask: bool = False


class Figures(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server tells of its load; what is left out stays unknown.

    Attributes:
        slots: a JSON list with `is_processing` in each.
        metrics: a Prometheus text, in which the next three are names.
        running: requests under way.
        waiting: requests in its queue.
        generated: tokens since it was loaded.
    """

    slots: Route | None = None
    metrics: Route | None = None
    running: Metric | None = None
    waiting: Metric | None = None
    generated: Metric | None = None


class Answers(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it answers.

    Attributes:
        model: name of the model in requests, a template; None where the server does not look at it.
        whole_cancel: it notices a client that leaves while it makes a whole answer.
        stream_fields: as in `rbee.contract.Endpoint`.
    """

    model: Line | None = None
    whole_cancel: bool = False
    stream_fields: dict[str, str | int | float | bool] = {}


class Failures(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its words mean: any of these, in any case.

    Attributes:
        model: of its last ones when it does not start: the file is no model it can open.
        memory: likewise: the model does not fit.
        dead: in what it writes while it serves: the process runs and will answer nobody any more.
        request: in an answer from 500 on: the request is at fault, and the server is well.
    """

    model: tuple[Line, ...] = ()
    memory: tuple[Line, ...] = ()
    dead: tuple[Line, ...] = ()
    request: tuple[Line, ...] = ()


class Join(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server that may run already and has models of its own, named by ``ENGINE:NAME``.

    Attributes:
        url: where it listens on this machine.
        models: answers with OpenAI's list of them.
        fetch: how a person brings one there, a template.
    """

    url: Line
    models: Route = "/v1/models"
    fetch: Line | None = None


class OnBackend(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is added for one way of driving a device."""

    arguments: Groups = ()
    environment: Variables = {}


class EngineRecord(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server that can be an engine.

    Attributes:
        name: the engine is called ``path-NAME``.
        summary: one line for a person.
        program: looked for on the PATH, or an absolute path.
        formats: of the models that it opens.
        backends: how it can drive devices.
        capabilities: what its workers offer.
        splits: of `backends`, those over several of whose devices it spreads one model; the places ``device_numbers``,
            ``device_count`` and ``device_shares`` tell it of them.
        preference: how well it suits a backend, as `rbee.contract.Engine.preference`; 0 for one that is left out.
        ignores: parameters of OpenAI's API that it drops without a word; requests that need one are refused.
        install: how a person gets it.
        arguments: groups of words, each a template; a group with an unknown value is left out.
        environment: variables, likewise.
        version: arguments that make it print its version quickly; None where it has none.
        key: it asks for the key that it is given; otherwise every user of the machine can ask it.
        ready: see `Ready`.
        figures: see `Figures`.
        answers: see `Answers`.
        failures: see `Failures`.
        join: see `Join`; None for a server that is always run.
        on: by backend.
    """

    name: Word
    summary: Line
    program: Line
    formats: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=16)]
    backends: Annotated[tuple[Backend, ...], Meta(min_length=1)]
    capabilities: tuple[Capability, ...]
    install: Line
    arguments: Groups
    splits: tuple[Backend, ...] = ()
    preference: dict[Backend, Annotated[int, Meta(ge=-100, le=100)]] = {}
    ignores: tuple[Word, ...] = ()
    environment: Variables = {}
    version: tuple[Line, ...] | None = None
    key: bool = False
    ready: Ready = Ready()
    figures: Figures = Figures()
    answers: Answers = Answers()
    failures: Failures = Failures()
    join: Join | None = None
    on: dict[Backend, OnBackend] = {}


def parse_record(text: str) -> EngineRecord:
    """A record from its TOML.

    Raises:
        ValueError: it is none; the message names the field.
    """
    try:
        found = msgspec.toml.decode(text, type=EngineRecord)
    except msgspec.MsgspecError as error:
        raise ValueError(_in_words(str(error))) from error
    for field, template in _templates(found):
        try:
            places_in(template)
        except ValueError as error:
            raise ValueError(f"'{field}': {error}") from error
    places = {name for _, template in _templates(found) for name in places_in(template)}
    if found.key != ("api_key" in places):
        raise ValueError("'key': it is true when {api_key} stands in 'arguments' or 'environment', and only then")
    if "port" not in places:
        raise ValueError("'arguments': {port} must stand in them or in 'environment', or the server cannot be found")
    if found.join is not None:
        _check_address(found.join.url)
    return found


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and parts.port and parts.hostname in _LOOPBACK and not parts.username
    except ValueError:
        good = False
    if not good or parts.path or parts.query or parts.fragment:
        raise ValueError(f"'join.url': {url!r} must be http://127.0.0.1:PORT, a server of this machine")


def _templates(record: EngineRecord) -> Iterator[tuple[str, str]]:
    parts: dict[str, Any] = {"": record, **{f"on.{name}.": part for name, part in record.on.items()}}
    for where, part in parts.items():
        for number, group in enumerate(part.arguments):
            yield from ((f"{where}arguments[{number}]", one) for one in group)
        yield from ((f"{where}environment.{name}", value) for name, value in part.environment.items())
    if record.answers.model is not None:
        yield "answers.model", record.answers.model
    if record.join is not None and record.join.fetch is not None:
        yield "join.fetch", record.join.fetch


_FIELD = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?$", re.DOTALL)
_WORDS = MappingProxyType(
    {"Object contains unknown field": "there is no field", "Object missing required field": "there must be a field"}
)


def _in_words(message: str) -> str:
    found = _FIELD.match(message)
    what, where = (found["what"], found["where"]) if found else (message, None)
    for theirs, ours in _WORDS.items():
        what = what.replace(theirs, ours)
    return f"'{where}': {what}" if where else what
