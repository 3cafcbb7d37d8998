"""A plugin with a probe that tells of two GPUs that nobody has, and an engine of echoes that may be spread over them."""

import psutil
from rbee.contract import (
    Backend,
    Device,
    DeviceType,
    GpuStats,
    ModelFigures,
    ModelVariant,
    ModelVendor,
    NodeSample,
    Probe,
    ProcessSample,
    hookimpl,
)
from rbee_echo.engine import EchoEngine

RBEE_CONTRACT = ">=0.3,<0.4"
MIB = 2**20
CARD_MB = 1000
USED_MB = 5
"""What each worker is measured to use of every card that it has."""


class TwoCards(Probe):
    """Cards whose memory is used by workers alone, as the tags of their processes tell."""

    name = "two-cards"

    def __init__(self):
        self._used = {}

    def devices(self):
        return tuple(
            Device(
                id=f"GPU-{number}",
                name="A card that nobody has",
                device_type=DeviceType.GPU,
                backend=Backend.CUDA,
                memory_bytes=CARD_MB * MIB,
            )
            for number in (0, 1)
        )

    def sample_node(self):
        return NodeSample(
            gpus=tuple(
                GpuStats(id=card, util_pct=0.0, vram_used_mb=self._used.get(card, 0), vram_total_mb=CARD_MB)
                for card in ("GPU-0", "GPU-1")
            )
        )

    def sample_processes(self, roots):
        found = {}
        self._used = {}
        for pid in roots:
            try:
                cards = psutil.Process(pid).environ().get("RBEE_WORKER_DEVICE", "").split(",")
            except psutil.Error:
                continue
            if cards[0].startswith("GPU-"):
                used = dict.fromkeys(cards, USED_MB)
                self._used = {card: self._used.get(card, 0) + USED_MB for card in {*self._used, *cards}}
                found[pid] = ProcessSample(
                    gpu=",".join(cards),
                    vram_mb=USED_MB * len(cards),
                    total_vram_mb=CARD_MB * len(cards),
                    vram_by_gpu_mb=used if len(cards) > 1 else None,
                )
        return found


class CardVendor(ModelVendor):
    """``card:MIB``: a model whose weights have so many MiB, and no files."""

    name = "card"

    def supports(self, ref):
        return ref.startswith("card:") and ref[5:].isdecimal()

    def resolve(self, ref):
        figures = ModelFigures(weights_bytes=int(ref[5:]) * MIB)
        return (ModelVariant(model_id=ref, name=ref, vendor=self.name, format="card", figures=figures),)

    def fetch(self, variant, destination, progress, cancel):
        progress(0, 0)


class CardEngine(EchoEngine):
    """Echoes from a card, or from both; its log tells what it was given."""

    name = "card-echo"
    formats = frozenset({"card"})
    backends = frozenset({Backend.CUDA})
    splits = frozenset({Backend.CUDA})

    def load(self, spec, report):
        report(f"on {spec.device}, spread: {[(one.device, one.memory_bytes) for one in spec.devices]}")
        print(f"given {spec.device_ids} {[one.memory_bytes for one in spec.devices]} {spec.memory_bytes}", flush=True)
        return super().load(type(spec)(**{**_fields(spec), "model_id": "echo"}), report)


def _fields(spec):
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


@hookimpl
def rbee_register(register):
    register.probe(TwoCards)
    register.model_vendor(CardVendor)
    register.engine(CardEngine)
