"""The colony as lists and streams show it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.contract.model_refs import parse_ref
from rbee.contract.wire import Alias, WorkerRecord, utc_now
from rbee.queen.held import HeldIndex
from rbee.queen.keeping import Keeping
from rbee.queen.names import ModelNames
from rbee.queen.rates import Rates
from rbee.queen.tunnels import Roads
from rbee.telemetry import HiveRecord, TelemetryRegistry, WorkerEntry
from rbee.telemetry.judgement import hive_health

_IN_MEMORY = frozenset({"loaded", "loading"})


class Lists:
    """Reads; changes nothing.

    Args:
        telemetry: hives and workers.
        names: models that the vendors offer.
        held: models on the disks of the hives.
        aliases: short names for models.
        keeping: how long workers stay while idle; None where nobody is unloaded.
        rates: how quick workers are; None where nobody measures.
        roads: lead to the hives; None where all are called at their own addresses.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        names: ModelNames,
        held: HeldIndex,
        aliases: Callable[[], Sequence[Alias]] = tuple,
        keeping: Keeping | None = None,
        rates: Rates | None = None,
        roads: Roads | None = None,
    ) -> None:
        self._roads = roads or Roads()
        self._keeping = keeping
        self._telemetry = telemetry
        self._names = names
        self._held = held
        self._aliases = aliases
        self._rates = Rates() if rates is None else rates

    def workers(self) -> list[WorkerRecord]:
        """Every worker known, by id."""
        entries = sorted(self._telemetry.list_all_workers(), key=lambda entry: entry.worker_id)
        return [self._worker(entry) for entry in entries]

    def _worker(self, entry: WorkerEntry) -> WorkerRecord:
        record = self._telemetry.describe(entry)
        if self._keeping is not None:
            left = self._keeping.left_s(entry)
            record = msgspec.structs.replace(
                record,
                pinned=self._keeping.pinned(entry),
                unloads_in_s=None if left is None else round(left, 3),
            )
        if self._rates is not None:
            speed = self._rates.speed(entry)
            prefill, decode = speed.prefill, speed.at(entry.reserved + entry.external)
            record = msgspec.structs.replace(
                record,
                prefill_tok_s=None if prefill is None else round(prefill.tok_s, 1),
                decode_tok_s=None if decode is None else round(decode, 1),
            )
        return record

    def hives(self) -> list[dict[str, Any]]:
        """Every hive known, by id."""
        records = sorted(self._telemetry.list_all_hives(), key=lambda record: record.hive_id)
        return [self._hive(record) for record in records]

    async def models(self, *, trusted: bool) -> list[dict[str, Any]]:
        """Models that can be asked for.

        Those that workers serve, those that lie on some hive's disk, those that the vendors offer by name, and aliases.

        Args:
            trusted: the caller has the colony's token, and may know where files lie.  For others a model that is
                named by its path is there while a worker serves it: without its name nobody could ask for it.
        """
        found: dict[str, dict[str, Any]] = {}
        for variant in await self._names.known():
            found[variant.model_id] = _model(variant.name, variant.model_id, variant.vendor, "available")
        for variant in self._held.models():
            found[variant.model_id] = _model(variant.name, variant.model_id, variant.vendor, "available")
        for model_id in self._telemetry.models():
            entries = self._telemetry.find_workers_by_model(model_id)
            name = next((entry.model_name for entry in entries if entry.model_name), model_id)
            state = "loaded" if any(self._telemetry.is_routable(entry) for entry in entries) else "loading"
            present = found.get(model_id)
            owner = present["owned_by"] if present else model_id.partition(":")[0]
            found[model_id] = _model(name, model_id, owner, state)
        for model_id, one in found.items():
            one["rbee"]["hives"] = sorted(self._held.holders(model_id))
        aliases = _aliased(self._aliases(), found.values())
        models = sorted([*found.values(), *aliases], key=lambda model: str(model["id"]))
        return models if trusted else [_without_paths(model) for model in models if not _is_secret(model)]

    def summary(self) -> bytes:
        """Who is there, as a line of the queen's stream."""
        online = sorted(entry.worker_id for entry in self._telemetry.list_online_workers())
        hives = sorted(record.hive_id for record in self._telemetry.list_active_hives())
        return msgspec.json.encode(
            {
                "type": "queen",
                "workers_online": len(online),
                "workers_available": self._telemetry.routable_worker_count(),
                "hives_online": len(hives),
                "hives_available": self._telemetry.available_hive_count(),
                "worker_ids": online,
                "hive_ids": hives,
                "timestamp": utc_now(),
            }
        )

    def _hive(self, record: HiveRecord) -> dict[str, Any]:
        age = self._telemetry.hive_age(record.hive_id)
        return {
            "hive_id": record.hive_id,
            "url": record.url,
            "reach": "tunnel" if self._roads.leads_through(record.hive_id) else "direct",
            "road": None if record.url is None else self._roads.now(record.hive_id, record.url),
            "online": self._telemetry.is_hive_online(record.hive_id),
            "health": hive_health(age, self._telemetry.limits),
            "operational_status": record.info.operational_status if record.info else None,
            "age_s": round(age or 0.0, 3),
            "devices": record.devices,
            "engines": record.engines,
            "node": record.node,
            "threads_total": record.info.threads_total if record.info else None,
            "threads_free": record.info.threads_free if record.info else None,
            "threads_granted": record.info.threads_granted if record.info else None,
            "memory": record.info.memory if record.info else (),
        }


def _model(name: str, model_id: str, owner: str, state: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": owner,
        "rbee": {"model_id": model_id, "state": state},
    }


def _aliased(aliases: Sequence[Alias], models: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Aliases as models, each with what is known of the model that it stands for."""
    if not aliases:
        return []
    spelled = {_spelling(model["rbee"]["model_id"]): model for model in models}
    spelled |= {model["id"]: model for model in models}
    return [_alias(alias, spelled.get(alias.model) or spelled.get(_spelling(alias.model))) for alias in aliases]


def _alias(alias: Alias, model: dict[str, Any] | None) -> dict[str, Any]:
    if model is None:
        unknown: dict[str, Any] = {"model_id": None, "state": None, "alias_of": alias.model, "hives": []}
        return {"id": alias.name, "object": "model", "created": 0, "owned_by": "rbee", "rbee": unknown}
    return {**model, "id": alias.name, "rbee": {**model["rbee"], "alias_of": alias.model}}


def _spelling(name: str) -> str:
    """The same for all spellings of a name, whatever stands before the colon."""
    try:
        return parse_ref(name).canonical("")
    except InvalidRequestError:
        return name


def _is_secret(model: dict[str, Any]) -> bool:
    return _is_path(model["id"]) and model["rbee"]["state"] not in _IN_MEMORY


def _without_paths(model: dict[str, Any]) -> dict[str, Any]:
    """The same for a stranger: what is called otherwise is not told to be a path."""
    if _is_path(model["id"]):
        return model
    told = {key: None if isinstance(value, str) and _is_path(value) else value for key, value in model["rbee"].items()}
    return {**model, "rbee": told}


def _is_path(name: str) -> bool:
    try:
        return parse_ref(name).kind == "path"
    except InvalidRequestError:
        return name.startswith(("/", "~", "file:"))
