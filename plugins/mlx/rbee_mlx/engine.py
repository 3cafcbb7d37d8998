"""The engine: MLX models, many requests at a time."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from rbee.contract import (
    Availability,
    Backend,
    Capability,
    EngineOption,
    EngineStatus,
    LoadedModel,
    LoadSpec,
    StageReport,
    TokenEngine,
    TokenEvent,
    TokenRequest,
)
from rbee.contract.errors import EngineUnavailableError
from rbee.contract.folder_tokenizer import FolderTokenizer

from rbee_mlx.availability import availability
from rbee_mlx.loading import check_device, load, model_folder, prepare

if TYPE_CHECKING:
    from rbee_mlx.batch import Batch

_MIB = 1024 * 1024
_SHARE = 8
"""Of the memory that the worker was promised, one part in so many is for what is kept of prompts, and one for freed
memory that is kept for the next time."""


class MlxEngine(TokenEngine):
    """Safetensors models, plain and quantised for MLX, on Apple GPUs; elsewhere on the processor, as a makeshift.

    The library wants to be used by one thread: it is imported by `load`, in the engine's.
    """

    name = "mlx"
    formats = frozenset({"mlx", "safetensors"})
    backends = frozenset({Backend.METAL, Backend.CPU})
    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETIONS,
            Capability.TOOLS,
            Capability.CONTINUATION,
            Capability.JSON_SCHEMA,
            Capability.GRAMMAR,
            Capability.LOGPROBS,
        }
    )
    sampling = frozenset(
        {
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "repetition_penalty",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "seed",
        }
    )
    preference = MappingProxyType({Backend.METAL: 20, Backend.CPU: -10})
    optional = True
    options = (
        EngineOption(
            name="cache_mb",
            kind="int",
            help="MiB for what ended requests have computed of their prompts, for those that begin alike; never more "
            "than an eighth of the memory that the worker is promised.",
            default=512,
            low=0,
            high=1_048_576,
        ),
        EngineOption(
            name="chunk_tokens",
            kind="int",
            help="Tokens of prompts computed between two tokens of the answers.",
            default=512,
            low=16,
            high=16_384,
        ),
    )

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._slots: int | None = None

    @classmethod
    def availability(cls) -> Availability:
        """Whether mlx-lm is installed; it is not imported."""
        return availability()

    def load(self, spec: LoadSpec, report: StageReport) -> LoadedModel:
        """Read the weights into memory.

        Raises:
            EngineUnavailableError: the library is missing, or cannot drive the device.
            ModelFileError: the folder holds no model that it knows.
            InsufficientMemoryError: it does not fit.
        """
        self.unload()
        found = availability()
        if not found.available:
            raise EngineUnavailableError(f"Engine 'mlx' cannot run here: {found.reason}.")
        check_device(spec)
        folder = model_folder(spec)
        tokenizer = FolderTokenizer(folder)
        report("importing mlx")
        prepare(spec.threads)
        import mlx.core as mx

        mx.set_default_device(mx.cpu if spec.backend == Backend.CPU else mx.gpu)
        if spec.memory_bytes is not None:
            mx.set_memory_limit(spec.memory_bytes)
            # Freed memory counts as much as any other.
            mx.set_cache_limit(spec.memory_bytes // _SHARE)
        report(f"reading {folder.name}")
        loaded = load(spec, folder)
        # Only now: they import the library.
        from rbee_mlx.batch import Batch
        from rbee_mlx.prompt_cache import PromptCache

        options = {option.name: option.default for option in self.options} | spec.options
        most = int(options["cache_mb"] or 0) * _MIB
        if spec.memory_bytes is not None:
            most = min(most, spec.memory_bytes // _SHARE)
        chunk = int(options["chunk_tokens"] or 512)
        self._batch = Batch(loaded.model, tokenizer.size, spec.slots, chunk, PromptCache(most))
        self._slots = spec.slots
        return LoadedModel(tokenizer=tokenizer, context_length=loaded.context_length)

    def add(self, request: TokenRequest) -> None:
        """Take up a request; what an earlier one has computed of its prompt is not computed again."""
        if self._batch is None:
            raise EngineUnavailableError("Engine 'mlx' has no model loaded.")
        self._batch.add(request)

    def step(self) -> Sequence[TokenEvent]:
        """One token for each answer under way, and a chunk of the prompts that wait."""
        return () if self._batch is None else self._batch.step()

    def remove(self, request_id: str) -> None:
        """Drop a request; what it has computed stays for others."""
        if self._batch is not None:
            self._batch.remove(request_id)

    def unload(self) -> None:
        """Give the memory back."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        batch.close()
        del batch
        import gc

        import mlx.core as mx

        gc.collect()
        mx.clear_cache()

    def status(self) -> EngineStatus:
        """Requests under way; the host counts their tokens."""
        return EngineStatus(slots_total=self._slots, slots_busy=None if self._batch is None else len(self._batch))
