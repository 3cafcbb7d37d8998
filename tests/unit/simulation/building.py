"""Small fleets and loads, and a colony whose every answer is noted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rbee.builtin.policies import BalancedPolicy
from rbee.contract import Policy
from rbee.settings import Settings
from rbee.simulation import Arrivals, Colony, Compute, Fleet, Gpu, HiveGroup, Length, Load, ModelLoad, Requests
from rbee.simulation.requests import Request

SETTINGS = Settings()
PROCESSOR = Compute(prefill_tok_s=100, decode_tok_s={1: 10, 4: 5}, load_s=4)
GPU = Gpu(memory_gib=24, prefill_tok_s=5000, decode_tok_s={1: 100, 4: 60}, load_s=8)


def group(name: str = "box", **more: Any) -> HiveGroup:
    fields = {"ram_gib": 32, "threads": 8, "worker_threads": 1, "gpus": (GPU,)}
    return HiveGroup(name=name, **(fields | more))


def laptop(name: str = "laptop", **more: Any) -> HiveGroup:
    return group(name, **({"gpus": (), "processor": PROCESSOR} | more))


def fleet(*groups: HiveGroup) -> Fleet:
    return Fleet(hives=groups or (group(workers={"m": 1}),))


def model(name: str = "m", weights_gib: float = 4, **more: Any) -> ModelLoad:
    return ModelLoad(name=name, weights_gib=weights_gib, **more)


def load(*models: ModelLoad, rate: float = 2.0, **more: Any) -> Load:
    fields = {
        "duration_s": 60,
        "arrivals": Arrivals(rate=rate),
        "prompt": Length(median=200, p95=800),
        "answer": Length(median=50, p95=200),
    }
    return Load(models=models or (model(),), **(fields | more))


def requests(asked: Load, seed: int = 0) -> list[Request]:
    return list(Requests(asked, seed, 8192))


class Watched:
    """A colony with a list of what became of each request."""

    def __init__(
        self,
        machines: Fleet,
        asked: Load,
        policy: Policy | None = None,
        settings: Settings = SETTINGS,
        given: list[Request] | None = None,
        seed: int = 0,
    ) -> None:
        self.came = requests(asked, seed) if given is None else given
        self.colony = Colony(machines, asked, iter(self.came), policy or BalancedPolicy(), settings, seed)
        self.ends: Counter[int] = Counter()
        self.refused: dict[int, str] = {}
        self.first_s: dict[int, float] = {}
        self.whole_s: dict[int, float] = {}
        measure = self.colony.measure
        answered, refused = measure.answered, measure.refused

        def note_answer(request: Request, sent_at: float, first_at: float, now: float, computed: int) -> None:
            self.ends[request.number] += 1
            self.first_s[request.number] = first_at - request.at
            self.whole_s[request.number] = now - request.at
            answered(request, sent_at, first_at, now, computed)

        def note_refusal(request: Request, code: str) -> None:
            self.ends[request.number] += 1
            self.refused[request.number] = code
            refused(request, code)

        measure.answered, measure.refused = note_answer, note_refusal  # type: ignore[method-assign]  # to listen

    def run(self) -> Watched:
        while self.colony.step():
            pass
        return self
