"""How quick the gateway is: rbee beside the worker alone and beside other gateways, on the same core in the same run.

By hand, on a Linux machine with two cores that does nothing else, with a C compiler::

    .venv/bin/python tests/bench/gateway.py
    .venv/bin/python tests/bench/gateway.py --only rbee,vllm-router --seconds 2 --rounds 1
    .venv/bin/python tests/bench/gateway.py --only rbee --rounds 1 --processes 2 --profile

The system under test has one core, the worker and the clients (two small C programs) have the other.  In each round
all systems are measured in turn; the tables have medians.  The peers are installed once into environments of their
own, each in the policy that it comes with and in `round_robin`.  `floor` is a relay that does nothing else, see
`gateway_floor.py`.  Quote ratios between systems of one run, never a bare figure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import platformdirs
import psutil
from gateway_peers import Environments, peers
from gateway_profile import profile
from gateway_rbee import Rbee
from gateway_systems import Direct, Floor, Other, System, check_stream
from gateway_table import COLUMNS, Taken, figures_table, verdicts, verdicts_table
from gateway_tools import BenchError, Cores, NoStartError, Tools, allow_files

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 32
STREAMS = 500
PACE_US = 50_000
PACED_TOKENS = 128
"""A hundred at least, so that how all streams began at once is not what the 99th percentile tells."""
LOOK_S = 0.5
QUIET_PERCENT = 10


def main() -> None:
    """Print the tables."""
    options = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="rbee-bench-") as name:
            report = measure(options, Path(name))
    except BenchError as error:
        raise SystemExit(f"gateway.py: {error}") from None
    if options.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--only", metavar="NAME,...", help="these systems alone: direct, floor, rbee, names of peers")
    parser.add_argument("--json", action="store_true", help="print JSON, with the figures of each round")
    parser.add_argument("--tools", type=Path, default=ROOT.parent / "shared" / "bench", help="folder of the C files")
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(platformdirs.user_cache_dir("rbee-bench")),
        help="folder for the peers' environments",
    )
    parser.add_argument("--processes", type=int, metavar="N", help="also measure N processes against 1, on all cores")
    parser.add_argument("--profile", action="store_true", help="also tell where rbee's time goes under plain requests")
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All that was asked for, told as it comes.

    Raises:
        BenchError: something is missing without which nothing can be measured.
    """
    allow_files()
    together, apart = Cores.shared(), Cores.apart()
    tools = Tools(options.tools.resolve(), folder)
    chosen = systems(options.only, Environments(options.peers.resolve()))

    def say(text: str) -> None:
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)

    facts = machine()
    say(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}, {facts['system']}")
    say(f"{options.rounds} rounds, {options.seconds:g} s a measurement\n")

    os.sched_setaffinity(0, apart.tools)
    taken = [Taken(system) for system in chosen]
    others = 0.0
    for turn in range(options.rounds):
        for one in taken:
            print(f"round {turn + 1}: {one.system.name}", file=sys.stderr, flush=True)
            others = max(others, psutil.cpu_percent(LOOK_S))
            side_by_side(one, tools, apart, options.seconds)
    if others > QUIET_PERCENT:
        say(f"not a quiet machine: between measurements others took up to {others:.0f} % of its processors\n")
    say(figures_table(taken))
    say(verdicts_table(found := verdicts(taken)))

    os.sched_setaffinity(0, together.tools)
    several = None
    if options.processes is not None:
        several = [Taken(system) for system in scaled(options.processes)]
        for _ in range(options.rounds if several else 0):
            for one in several:
                all_cores(one, tools, together, options.seconds)
        say(figures_table(several, COLUMNS[:2]) if several else "--processes is not offered by this rbee\n")
    if options.profile:
        os.sched_setaffinity(0, apart.tools)
        try:
            say(profile(tools, apart, CONNECTIONS, options.seconds, folder))
        except NoStartError as error:
            say(f"no profile: {error}\n")
    return {
        "machine": facts,
        "others_cpu_percent": others,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "systems": [one.as_json() for one in taken],
        "bars": [one.as_json() for one in found],
        "processes": None if several is None else [one.as_json() for one in several],
    }


def systems(only: str | None, environments: Environments) -> list[System]:
    """What is measured, in its order.

    Raises:
        BenchError: there is no system of that name.
    """
    others = peers(secrets.token_hex(24))
    found: dict[str, list[System]] = {"direct": [Direct()], "floor": [Floor()], "rbee": [Rbee()]}
    for peer in others:
        found[peer.name] = [Other(peer, variant, environments) for variant in peer.variants]
    wanted = list(found) if only is None else [name.strip() for name in only.split(",")]
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise BenchError(f"no system {', '.join(unknown)}; there are {', '.join(found)}")
    return [system for name in found if name in wanted for system in found[name]]


def side_by_side(taken: Taken, tools: Tools, cores: Cores, seconds: float) -> None:
    """All figures of one system in one round; for the paced streams it is started afresh."""
    tokens = max(PACED_TOKENS, round(seconds * 1e6 / PACE_US))
    try:
        with tools.mill() as worker, taken.system.running(worker, cores) as target:
            check_stream(target)
            taken.take(tools.load(target, CONNECTIONS, seconds, stream=False), "requests_per_s")
            taken.take(tools.load(target, CONNECTIONS, seconds, stream=True), "tokens_per_s")
            taken.take(tools.load(target, 1, seconds, stream=True), "first_token_us")
        with tools.mill(tokens, PACE_US) as worker, taken.system.running(worker, cores) as target:
            # No stream can have ended by then, so each connection has exactly one.
            length = (tokens - 2) * PACE_US / 1e6
            load = tools.load(target, STREAMS, length, stream=True, look_at_memory=True)
            taken.take(load, "cpu_us_per_token", "gap_us", "memory_bytes")
    except NoStartError as error:
        print(f"{taken.system.name}: {error}", file=sys.stderr, flush=True)
        taken.problems.append(str(error))


def scaled(processes: int) -> Sequence[System]:
    """One process and several; none where rbee does not know the option."""
    return (Rbee(1), Rbee(processes)) if Rbee.offers_processes() else ()


def all_cores(taken: Taken, tools: Tools, cores: Cores, seconds: float) -> None:
    """Throughput in one round, where everything may run anywhere."""
    try:
        with tools.mill() as worker, taken.system.running(worker, cores) as target:
            taken.take(tools.load(target, CONNECTIONS, seconds, stream=False), "requests_per_s")
            taken.take(tools.load(target, CONNECTIONS, seconds, stream=True), "tokens_per_s")
    except NoStartError as error:
        print(f"{taken.system.name}: {error}", file=sys.stderr, flush=True)
        taken.problems.append(str(error))


def machine() -> dict[str, Any]:
    """What it is measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


if __name__ == "__main__":
    main()
