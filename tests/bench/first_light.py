"""How long until the first token, how much memory at rest, and what the way through the colony costs.

By hand, on a machine that does nothing else::

    uv run --group test python tests/bench/first_light.py

Every figure stands beside its floor, taken in the same run: the interpreter's own start, the worker asked directly.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable

import psutil

ROUNDS = 15
BODY = json.dumps(
    {
        "model": "demo",
        "messages": [{"role": "user", "content": "What is Python?"}],
        "temperature": 0,
        "stream": True,
    }
)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="rbee-bench-") as home:
        environment = {**os.environ, "RBEE_HOME": home}
        rows = start_up(environment)
        print_row("", "rbee", "floor", "ratio")
        for row in rows:
            print_row(*row)
        rbee(environment, "--set", "registry.port=0", "--set", "queen.port=0", "--set", "hive.port=0", "up", "--detach")
        try:
            for row in running(environment):
                print_row(*row)
        finally:
            rbee(environment, "down")


def start_up(environment: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """Figures that need no colony, or one for the occasion."""
    bare = median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    shown = median(lambda: rbee(environment, "--help"))
    occasion = first_byte(environment)
    again = first_byte(environment)
    return [
        seconds("rbee --help, against a bare interpreter", shown, bare),
        seconds("rbee run, no colony, model not fetched, to first token", occasion, bare),
        seconds("rbee run, no colony, model fetched, to first token", again, bare),
    ]


def running(environment: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """Figures of a colony that is up."""
    status = json.loads(rbee(environment, "status", "--json"))
    queen = status["colony"]["queen_url"]
    colony = psutil.Process(status["colony"]["pid"])
    time.sleep(3)
    idle = colony.memory_info().rss / 2**20
    bare = subprocess.run(
        [sys.executable, "-c", "import psutil; print(psutil.Process().memory_info().rss / 2**20)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    ask(queen)
    worker = json.loads(rbee(environment, "ps", "--json"))["workers"][0]
    warm_run = median(lambda: first_byte(environment), rounds=5)
    direct = [ask(worker["url"]) for _ in range(ROUNDS)]
    through = [ask(queen) for _ in range(ROUNDS)]
    first_direct, first_through = (statistics.median(one[0] for one in many) for many in (direct, through))
    whole_direct, whole_through = (statistics.median(one[1] for one in many) for many in (direct, through))
    before = colony.cpu_times()
    time.sleep(5)
    after = colony.cpu_times()
    busy = (after.user + after.system - before.user - before.system) / 5
    return [
        megabytes("memory of `rbee up` at rest, against a bare interpreter", idle, float(bare.stdout)),
        megabytes("memory of the demo worker, against the model's file", worker["rss_mb"], 4812288 / 2**20),
        seconds("rbee run, warm colony, to first token, against the worker directly", warm_run, first_direct),
        seconds("HTTP to first token through the queen, against the worker directly", first_through, first_direct),
        seconds("HTTP whole answer through the queen, against the worker directly", whole_through, whole_direct),
        ("processor of `rbee up` with one idle worker", f"{busy * 100:.1f} %", "", ""),
    ]


def first_byte(environment: dict[str, str]) -> float:
    """Seconds from the start of `rbee run` to the first byte of its answer; waits for its end."""
    began = time.perf_counter()
    argv = [sys.executable, "-m", "rbee", "run", "demo", "What is Python?", "--temperature", "0"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        if process.stdout is None or not os.read(process.stdout.fileno(), 1):
            raise SystemExit("rbee run gave no answer")
        taken = time.perf_counter() - began
        process.stdout.read()
    return taken


def ask(base: str) -> tuple[float, float]:
    """Seconds to the first token and to the end of one streamed answer."""
    address = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{base} answered {response.status}: {response.read()!r}")
    response.read1()
    first = time.perf_counter() - began
    response.read()
    whole = time.perf_counter() - began
    connection.close()
    return first, whole


def rbee(environment: dict[str, str], *argv: str) -> str:
    """Run a command and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "rbee", *argv], check=True, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ).stdout  # fmt: skip


def median(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median seconds of a call; a number that it returns counts instead of its duration."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        result = run()
        taken.append(result if isinstance(result, float) else time.perf_counter() - began)
    return statistics.median(taken)


def seconds(what: str, ours: float, floor: float) -> tuple[str, str, str, str]:
    """A row of times."""
    return what, f"{ours * 1000:.1f} ms", f"{floor * 1000:.1f} ms", f"{ours / floor:.2f}"


def megabytes(what: str, ours: float, floor: float) -> tuple[str, str, str, str]:
    """A row of sizes."""
    return what, f"{ours:.0f} MiB", f"{floor:.0f} MiB", f"{ours / floor:.2f}"


def print_row(what: str, ours: str, floor: str, ratio: str) -> None:
    """One line of the table."""
    print(f"{what:<72}{ours:>12}{floor:>12}{ratio:>9}", flush=True)


if __name__ == "__main__":
    main()
