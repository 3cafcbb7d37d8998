"""Value types shared by core and plugins: frozen, comparable, serialisable by msgspec."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from rbee.contract.engine_options import EngineOption, OptionValue
from rbee.contract.figures import ModelFigures


class DeviceType(StrEnum):
    """What kind of processor a device is."""

    CPU = "cpu"
    GPU = "gpu"


class Backend(StrEnum):
    """Well-known interfaces through which engines drive devices; a vendor may have a word of his own."""

    CPU = "cpu"
    CUDA = "cuda"
    METAL = "metal"
    ROCM = "rocm"
    VULKAN = "vulkan"


class Capability(StrEnum):
    """Well-known things that engines can do; a vendor may have a word of his own, which core passes on."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    LOGPROBS = "logprobs"
    RERANK = "rerank"
    CONTINUATION = "continuation"
    GRAMMAR = "grammar"
    LORA = "lora"
    SPECULATIVE = "speculative"
    SLOT_CACHE = "slot_cache"


MODEL_CAPABILITIES = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.EMBEDDINGS, Capability.RERANK})
"""What a model is made for, or not, whatever its engine could do with another; the rest is the engine's alone."""


class WorkerState(StrEnum):
    """Where a worker is in its life.  Serving states are `READY` and `BUSY` (every slot taken)."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    BUSY = "busy"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"

    @classmethod
    def parse(cls, text: str) -> WorkerState:
        """The state named by `text`, in any case; ``Idle`` is an older word for ready.

        Raises:
            ValueError: when it names none.
        """
        word = text.strip().lower()
        return cls.READY if word == "idle" else cls(word)

    @property
    def serving(self) -> bool:
        """True when the worker has its model loaded and takes requests."""
        return self in {WorkerState.READY, WorkerState.BUSY}


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One processor of a hive.

    Attributes:
        id: unique on the hive, by custom ``CPU-0``, ``GPU-0``.
        name: what the maker calls it.
        device_type: cpu or gpu.
        vram_gb: total memory in GiB as the wire format has it; None when unknown.
        compute_capability: CUDA's, as ``8.9``; None elsewhere.
        backend: how engines drive it.
        memory_bytes: total memory; for a CPU the machine's memory, or the cgroup's limit if lower.
        cores: physical cores or what the cgroup allows; None for a GPU.
    """

    id: str
    name: str
    device_type: DeviceType
    vram_gb: float | None = None
    compute_capability: str | None = None
    backend: str = Backend.CPU
    memory_bytes: int | None = None
    cores: int | None = None


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model.

    Attributes:
        name: path relative to the model's folder, with forward slashes.
        size_bytes: None when the vendor cannot tell before fetching.
        sha256: lower-case hex; None when the vendor does not know it.
        git_oid: id of the file as a git blob, 40 digits of lower-case hex: what hubs give for small files instead.
    """

    name: str
    size_bytes: int | None = None
    sha256: str | None = None
    git_oid: str | None = None


class ModelVariant(msgspec.Struct, frozen=True, kw_only=True):
    """One concrete artefact of a model: what is fetched, and what an engine opens.

    Attributes:
        model_id: canonical name, see `rbee.contract.model_refs`: the revision stands in it only when somebody asked
            for one, so that a model keeps its name when its source moves on.
        name: what a person types to get it, for lists.
        vendor: name of the model vendor that resolves and fetches it.
        format: ``gguf``, ``safetensors``, ...: an engine states which it opens.
        files: the first is the one that an engine is pointed at.
        quantization: ``Q8_0``, ``F16``, ...; None when unknown.
        revision: the vendor's immutable revision (a commit); None where there is none.
        in_place: absolute path of a file or folder that is used where it is, never copied or deleted.
        context_length: the model's own, in tokens; None when unknown.
        capabilities: what the model is made for; an engine may offer less.
        figures: of the model, where the vendor knows them without its files.
    """

    model_id: str
    name: str
    vendor: str
    format: str
    files: tuple[ModelFile, ...] = ()
    quantization: str | None = None
    revision: str | None = None
    in_place: str | None = None
    context_length: int | None = None
    capabilities: frozenset[str] = frozenset({Capability.CHAT, Capability.COMPLETIONS})
    figures: ModelFigures | None = None

    def same_files(self, other: ModelVariant) -> bool:
        """Whether `other` means the very same files."""
        mine = (self.model_id, self.vendor, self.revision, self.files, self.in_place)
        return mine == (other.model_id, other.vendor, other.revision, other.files, other.in_place)

    @property
    def size_bytes(self) -> int | None:
        """Sum of the files' sizes, None when one of them is unknown."""
        total = 0
        for file in self.files:
            if file.size_bytes is None:
                return None
            total += file.size_bytes
        return total


class DeviceShare(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has of one of its devices.

    Attributes:
        device: id.
        memory_bytes: of it; None when unknown, or unbounded.
    """

    device: str
    memory_bytes: int | None = None


class LoadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker host asks its engine to load, with the share of the machine it may use.

    Attributes:
        model_id: canonical name, to be reported back unchanged.
        model_path: file or folder on this machine; None for an engine that needs none.
        variant: what the files are.
        device: id of the device to run on; of several the one that has most of the model.
        backend: how that device is driven, and the others.
        threads: processor threads the engine may keep busy; never more, or workers side by side collapse.  0 for one
            that computes somewhere else.
        slots: requests to be served at the same time.
        context_length: tokens a slot, None for the engine's default.
        memory_bytes: the most memory of the device that the engine may use, given by the hive, of several devices in
            all; None when unbounded.
        devices: all that the model is to be spread over, `device` first, each with the most memory that may be used of
            it; empty for `device` alone, as it always is for an engine whose `Engine.splits` lacks the backend.
        options: of the engine, checked against its class's `options`, those left out at their defaults.
        keep_in: folder of this machine where the engine may keep files of its own, for workers to come too; whoever
            wants it makes it, for this user alone (0700).  All workers of the engine have the same one.  None where
            nothing may be kept.
    """

    model_id: str
    model_path: str | None
    variant: ModelVariant
    device: str = "CPU-0"
    backend: str = Backend.CPU
    threads: int = 1
    slots: int = 1
    context_length: int | None = None
    memory_bytes: int | None = None
    options: dict[str, OptionValue] = {}
    keep_in: str | None = None
    devices: tuple[DeviceShare, ...] = ()

    @property
    def device_ids(self) -> tuple[str, ...]:
        """Ids of all devices, one at least."""
        return tuple(share.device for share in self.devices) or (self.device,)


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a hive tells about one of its engines.

    Attributes:
        name: registered name.
        version: of the inference library; None while it is not installed.
        formats: model formats it opens.
        backends: how it drives devices.
        capabilities: what it offers.
        available: usable here and now.
        reason: why not, with the exact remedy; None when available.
        preference: how well it suits a backend, by backend; see `Engine`.
        optional: that it is not here is no fault; see `Engine`.
        options: what may be set for its workers.
        remote: its workers take nothing of this machine.
        note: what a person should know before choosing it.
        splits: of `backends`, those over several of whose devices it spreads one model; see `Engine`.
    """

    name: str
    version: str | None
    formats: tuple[str, ...]
    backends: tuple[str, ...]
    capabilities: tuple[str, ...]
    available: bool
    reason: str | None = None
    preference: dict[str, int] = {}
    optional: bool = False
    options: tuple[EngineOption, ...] = ()
    remote: bool = False
    note: str | None = None
    splits: tuple[str, ...] = ()
