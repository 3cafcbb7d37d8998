"""The tables of `rbee top`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rbee.cli.format import UNKNOWN, duration, megabytes, printable, text
from rbee.cli.live import HiveRow, LiveColony
from rbee.cli.narrow import NarrowTable
from rbee.cli.worker_list import percent, slots_of, state_of
from rbee.contract.wire import GpuStats, WorkerRecord

if TYPE_CHECKING:
    from rich.console import RenderableType

_RIGHT = frozenset({"CPU", "RAM", "THREADS", "SLOTS", "TOK/S", "MEM", "VRAM", "GPU", "UPTIME", "AGE"})

_WORKER_COLUMNS_TO_GO = (
    "AGE",
    "UPTIME",
    "VRAM",
    "GPU",
    "MEM",
    "CPU",
    "TOK/S",
    "SLOTS",
    "DEVICE",
    "HIVE",
    "MODEL",
    "STATE",
)
"""Columns that a narrow terminal does without, in this order."""


def render(live: LiveColony, now: float, *, hint: str | None = None) -> RenderableType:
    """Hives, workers, and a line above them.

    Args:
        live: what is known.
        now: by the same clock.
        hint: a line below them; None for none.
    """
    from rich.console import Group
    from rich.text import Text

    hives, workers = live.hives(now), live.workers(now)
    parts: list[RenderableType] = [Text(heading(live, now), style="bold red" if live.away_since is not None else "")]
    parts += [
        Text(""),
        NarrowTable(
            ("HIVE", "STATE", "CPU", "RAM", "THREADS", "GPUS", "AGE"),
            [_plain(_hive(one)) for one in hives],
            right=_RIGHT,
            first_to_go=("AGE", "GPUS", "THREADS", "RAM", "CPU", "STATE"),
            elastic="GPUS",
        ),
    ]
    columns = (
        "WORKER",
        "MODEL",
        "HIVE",
        "DEVICE",
        "STATE",
        "SLOTS",
        "TOK/S",
        "CPU",
        "MEM",
        "GPU",
        "VRAM",
        "UPTIME",
        "AGE",
    )
    table = NarrowTable(
        columns,
        [_plain(_worker(one)) for one in workers],
        right=_RIGHT,
        first_to_go=_WORKER_COLUMNS_TO_GO,
    )
    parts += [Text(""), table if workers else Text("No workers.")]
    if hint is not None:
        parts += [Text(""), Text(hint, style="dim")]
    return Group(*parts)


def heading(live: LiveColony, now: float) -> str:
    """One line: the queen and her colony, or since when she is away."""
    if live.away_since is not None:
        return f"The queen is away since {duration(now - live.away_since)}: {live.why_away}"
    workers, hives = live.workers(now), live.hives(now)
    ready = sum(one.routable for one in workers)
    rates = [one.tokens_per_second for one in workers if one.tokens_per_second is not None]
    rate = f", {sum(rates):.0f} tokens/s" if rates else ""
    queen = "" if live.colony is None else f"queen {live.colony.url}, up {duration(live.colony.uptime_s)}: "
    return f"{queen}{_count(len(hives), 'hive')}, {_count(len(workers), 'worker')}, {ready} taking requests{rate}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _plain(row: tuple[str, ...]) -> tuple[str, ...]:
    """Names come from others: nothing in them that a terminal would obey."""
    return tuple(printable(cell) for cell in row)


def _hive(hive: HiveRow) -> tuple[str, ...]:
    node = hive.node
    threads = UNKNOWN
    if hive.threads_total is not None and hive.threads_free is not None:
        granted = hive.threads_total - hive.threads_free if hive.threads_granted is None else hive.threads_granted
        threads = f"{granted}/{hive.threads_total}"
    return (
        hive.hive_id,
        _state(hive),
        percent(node.cpu_pct if node else None),
        f"{megabytes(node.ram_used_mb)} of {megabytes(node.ram_total_mb)}" if node else UNKNOWN,
        threads,
        ", ".join(map(_gpu, node.gpus)) if node and node.gpus else UNKNOWN,
        duration(hive.age_s),
    )


def _state(hive: HiveRow) -> str:
    # Health is said first: what is down drains nothing.
    told = hive.operational_status
    return told if told not in {None, "ready"} and hive.health == "healthy" else text(hive.health)


def _gpu(gpu: GpuStats) -> str:
    facts = [percent(gpu.util_pct), f"{megabytes(gpu.vram_used_mb)} of {megabytes(gpu.vram_total_mb)}"]
    facts += [f"{gpu.temp_c:.0f} °C"] if gpu.temp_c is not None else []
    facts += [f"{gpu.power_w:.0f} W"] if gpu.power_w is not None else []
    return f"{gpu.id} {' '.join(facts)}"


def _worker(worker: WorkerRecord) -> tuple[str, ...]:
    rate = worker.tokens_per_second
    return (
        worker.worker_id,
        text(worker.model_name or worker.model_id),
        text(worker.hive_id),
        text(worker.device),
        state_of(worker),
        slots_of(worker),
        UNKNOWN if rate is None else f"{rate:.1f}",
        percent(worker.cpu_pct),
        megabytes(worker.rss_mb),
        percent(worker.gpu_pct),
        megabytes(worker.vram_mb),
        duration(worker.uptime_s),
        duration(worker.heartbeat_age_s),
    )
