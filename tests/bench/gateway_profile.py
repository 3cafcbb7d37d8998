"""Where the queen's time goes under plain requests, for `gateway.py --profile`."""

from __future__ import annotations

import pstats
from pathlib import Path
from typing import Any

from gateway_rbee import Rbee
from gateway_tools import Cores, NoStartError, Tools

_LINES = 40


def profile(tools: Tools, cores: Cores, connections: int, seconds: float, folder: Path) -> str:
    """What each function takes of a request: a run under load, less one that only starts and stops.

    The profiler slows Python's functions down and leaves C as it is, so shares count and microseconds do not.

    Args:
        tools: for the load.
        cores: where things run.
        connections: of the load.
        seconds: of the load.
        folder: for the profiles.

    Raises:
        NoStartError: the queen did not start, or left no profile.
    """
    idle, loaded = folder / "idle.profile", folder / "loaded.profile"
    with tools.mill() as worker, Rbee(profile=idle).running(worker, cores):
        pass
    with tools.mill() as worker, Rbee(profile=loaded).running(worker, cores) as target:
        load = tools.load(target, connections, seconds, stream=False)
    if load.wrong is not None:
        raise NoStartError(f"the load went wrong: {load.wrong}")
    before, after = _own_seconds(idle), _own_seconds(loaded)
    spent = {name: taken - before.get(name, 0.0) for name, taken in after.items()}
    whole = sum(taken for taken in spent.values() if taken > 0)
    rows = ["| function | share | of a request |", "|---|---|---|"]
    for name, taken in sorted(spent.items(), key=lambda one: -one[1])[:_LINES]:
        rows.append(f"| {name} | {taken / whole:.1%} | {taken * 1e6 / load.answers:.1f} µs |")
    return f"{load.requests_per_s:.0f} plain requests/s under the profiler\n\n" + "\n".join(rows) + "\n"


def _own_seconds(file: Path) -> dict[str, float]:
    if not file.exists():
        raise NoStartError("the queen left no profile")
    # Typeshed does not tell of the dictionary; it is documented by `Stats.get_stats_profile`, which mixes up namesakes.
    known: dict[tuple[str, int, str], tuple[Any, ...]] = vars(pstats.Stats(str(file)))["stats"]
    found: dict[str, float] = {}
    for (path, line, name), figures in known.items():
        place = name if path == "~" else f"{_short(path)}:{line} {name}"
        found[place] = found.get(place, 0.0) + float(figures[2])
    return found


def _short(path: str) -> str:
    parts = Path(path).parts
    start = next((number for number, part in enumerate(parts) if part == "rbee"), max(0, len(parts) - 2))
    return "/".join(parts[start:])
