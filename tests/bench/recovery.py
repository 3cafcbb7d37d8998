"""How long after a failure requests go where they should again, with the settings that rbee comes with.

By hand, on a machine that does nothing else, as an administrator of a Linux system for the rows about cut cables::

    uv run --group test python tests/bench/recovery.py [ROUNDS [programs|machines]]

Every time is from the moment of the harm (a SIGKILL, a pulled cable, the start of what was missing) to the first right
answer: the queen holds exactly the living workers for routable and answers a request through the gateway, or, where
the registry is the subject, lists exactly the living ones and a client without a queen gets its answer through it.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rbee.testing.colony import eventually
from rbee.testing.networks import Network, network, why_not
from rbee.testing.programs import Program
from rbee.testing.site import Site

ROUNDS = 5
PATIENCE_S = 120.0
MODEL = "echo:twin"

Case = Callable[[], float]


class Bench:
    """A colony with two machines beside the queen's, a worker of the same model on each.

    Args:
        folder: for its files.
        net: machines have addresses of their own; None for all on loopback.
    """

    def __init__(self, folder: Path, net: Network | None) -> None:
        self.net = net
        place: dict[str, Any] = {}
        if net is not None:
            for name in ("first", "alpha", "beta"):
                net.join(name)
            place = {"address": net.address("first"), "prefix": net.prefix("first")}
        self.site = Site(folder, **place)
        self.hives = {name: self._hive(name) for name in ("alpha", "beta")}
        self.pids: dict[str, int] = {}
        self._asked = 0

    def _hive(self, name: str) -> Program:
        place = () if self.net is None else (self.net.address(name), self.net.prefix(name))
        return self.site.program("hive", self.site.machine(name, *place))

    def start(self) -> None:
        """Bring it to the state in which every case begins."""
        for program in (self.site.registry, self.site.queen, *self.hives.values()):
            program.start()
        for name in self.hives:
            self.spawn(name)
        self.steady()

    def spawn(self, name: str) -> None:
        """The worker of a machine, which is called like it."""
        eventually(lambda: self.hears(name), PATIENCE_S)
        last = self.site.run_job("worker_spawn", hive_id=name, model=MODEL, worker_id=f"w-{name}")
        assert last["type"] == "done", last

    def steady(self) -> None:
        """Return once all is well again: everything has its lease, is measured, and takes requests."""

        def well() -> bool:
            records = {one["worker_id"]: one for one in self.site.workers()}
            assert set(records) == {"w-alpha", "w-beta"}, sorted(records)
            assert all(one["routable"] and one["presence"] == "online" and one["pid"] for one in records.values())
            assert len(self.site.components()) == 5
            self.pids = {name: one["pid"] for name, one in records.items()}
            return True

        eventually(well, PATIENCE_S, every=0.1)

    def hears(self, name: str) -> bool:
        """Whether the queen hears a hive."""
        found = self.site.hives().get(name)
        return found is not None and found["online"] and bool(found["devices"])

    def until_routed(self, began: float, *workers: str) -> float:
        """Seconds from `began` until these workers and no other are routable, and a request is answered."""

        def right() -> bool:
            with contextlib.suppress(Exception):
                found = {one["worker_id"] for one in self.site.workers() if one["routable"]}
                return found == set(workers) and self.answers(self.site.queen.url)
            return False

        eventually(right, PATIENCE_S)
        return time.monotonic() - began

    def until_found(self, began: float, *workers: str) -> float:
        """The same for a client without a queen: the registry lists them, and one of them answers."""

        def right() -> bool:
            with contextlib.suppress(Exception):
                found = {name: one["url"] for (kind, name), one in self.site.components().items() if kind == "worker"}
                return set(found) == set(workers) and self.answers(found[workers[0]])
            return False

        eventually(right, PATIENCE_S)
        return time.monotonic() - began

    def answers(self, url: str, model: str = MODEL) -> bool:
        """Whether a request is answered, and rightly."""
        self._asked += 1
        words = f"question {self._asked}"
        body = {"model": model, "messages": [{"role": "user", "content": words}]}
        answer = self.site.http.post(f"{url}/v1/chat/completions", json=body)
        return answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"] == words

    # --- the cases -----------------------------------------------------------------------------------------------

    def program_start(self) -> float:
        """The floor of every row with a restart."""
        self.site.queen.stop()
        began = time.monotonic()
        self.site.queen.start()
        taken = time.monotonic() - began
        self.steady()
        return taken

    def worker_killed(self) -> float:
        """Another one has the model."""
        began = time.monotonic()
        self.kill(self.pids["w-alpha"])
        taken = self.until_routed(began, "w-beta")
        self.spawn("alpha")
        self.steady()
        return taken

    def worker_frozen(self) -> float:
        """Its machine still measures it."""
        began = time.monotonic()
        self.site.freeze(self.pids["w-alpha"])
        return self.until_routed(began, "w-beta")

    def worker_thawed(self) -> float:
        """After the case before."""
        began = time.monotonic()
        self.site.thaw(self.pids["w-alpha"])
        taken = self.until_routed(began, "w-alpha", "w-beta")
        self.steady()
        return taken

    def hive_killed(self) -> float:
        """Its worker serves all the time; the hive starts workers again when a model that nobody has is answered."""
        self.site.run_job("worker_process_delete", hive_id="beta", worker_id="w-beta")
        self.hives["beta"].stop()
        before = self.pids["w-alpha"]
        began = time.monotonic()
        self.hives["alpha"].kill9()
        self.hives["alpha"].start()
        self._asked += 1
        model = f"echo:new{self._asked}"
        eventually(lambda: self.answers(self.site.queen.url, model), PATIENCE_S)
        taken = time.monotonic() - began
        (extra,) = [one["worker_id"] for one in self.site.workers() if one["model_id"] == model]
        self.site.run_job("worker_process_delete", hive_id="alpha", worker_id=extra)
        self.hives["beta"].start()
        self.spawn("beta")
        self.steady()
        assert self.pids["w-alpha"] == before, "its worker is another process"
        return taken

    def queen_killed(self) -> float:
        """Started again at once, where she was."""
        began = time.monotonic()
        self.site.queen.kill9()
        self.site.queen.start()
        taken = self.until_routed(began, "w-alpha", "w-beta")
        self.steady()
        return taken

    def queen_moved(self) -> float:
        """Started again at once, at another port; found through the registry."""
        began = time.monotonic()
        self.site.queen.kill9()
        self.site.queen.port = self.site.free_port()
        self.site.queen.start()
        taken = self.until_routed(began, "w-alpha", "w-beta")
        self.steady()
        return taken

    def registry_killed(self) -> float:
        """Started again at once; judged by a client without a queen."""
        began = time.monotonic()
        self.site.registry.kill9()
        self.site.registry.start()
        taken = self.until_found(began, "w-alpha", "w-beta")
        self.steady()
        return taken

    def machine_cut(self) -> float:
        """Its hive and its worker fall silent in the same instant."""
        assert self.net is not None
        began = time.monotonic()
        self.net.cut("alpha")
        return self.until_routed(began, "w-beta")

    def machine_healed(self) -> float:
        """After the case before, once the queen has forgotten the worker and the registry its lease."""
        assert self.net is not None

        def forgotten() -> bool:
            listed = {one["worker_id"] for one in self.site.workers()} | {name for _, name in self.site.components()}
            return not listed & {"w-alpha", "alpha"}

        eventually(forgotten, PATIENCE_S, every=0.1)
        began = time.monotonic()
        self.net.heal("alpha")
        taken = self.until_routed(began, "w-alpha", "w-beta")
        self.steady()
        return taken

    def queen_last(self) -> float:
        """She comes to a colony that runs; she was stopped in order and is known to nobody."""
        self.site.queen.stop()
        time.sleep(20)
        began = time.monotonic()
        self.site.queen.start()
        taken = self.until_routed(began, "w-alpha", "w-beta")
        self.steady()
        return taken

    def registry_last(self) -> float:
        """The queen has been started anew, and nobody but the registry can tell her of the others."""
        self.site.registry.stop()
        self.site.queen.stop()
        if self.net is None:
            self.site.queen.port = self.site.free_port()
        self.site.queen.start()
        time.sleep(20)
        began = time.monotonic()
        self.site.registry.start()
        taken = max(
            self.until_routed(began, "w-alpha", "w-beta"),
            self.until_found(began, "w-alpha", "w-beta"),
        )
        self.steady()
        return taken

    @staticmethod
    def kill(pid: int) -> None:
        """End a process without warning."""
        import psutil

        psutil.Process(pid).kill()


def cases(bench: Bench) -> Iterator[tuple[str, str, Case]]:
    """Name, limit and work of each row, in an order in which each leaves what the next one needs."""
    yield "a program's own start", "", bench.program_start
    yield "worker killed", "15 s", bench.worker_killed
    yield "worker frozen", "15 s", bench.worker_frozen
    yield "worker thawed", "5 s", bench.worker_thawed
    yield "hive killed and restarted", "start + 4 s", bench.hive_killed
    yield "queen killed and restarted", "10 s", bench.queen_killed
    if bench.net is None:
        yield "queen killed and restarted at another port", "10 s", bench.queen_moved
    yield "registry killed and restarted", "15 s", bench.registry_killed
    yield "queen started last", "10 s", bench.queen_last
    yield "registry started last", "30 s", bench.registry_last
    if bench.net is not None:
        yield "machine cut off", "15 s", bench.machine_cut
        yield "machine connected again", "30 s", bench.machine_healed


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    subject = sys.argv[2] if len(sys.argv) > 2 else "all"
    print("| after | median | least | most | limit |\n|---|---|---|---|---|")
    if subject != "machines":
        measure(rounds, None, lambda name: not name.startswith("machine"))
    reason = why_not()
    if reason is not None:
        print(f"no rows for machines that are cut off: {reason}", file=sys.stderr)
    elif subject != "programs":
        with network() as net:
            measure(rounds, net, lambda name: name.startswith("machine"))


def measure(rounds: int, net: Network | None, wanted: Callable[[str], bool]) -> None:
    """Run the wanted cases in one colony, each round through all of them, and print a row for each."""
    taken: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="rbee-bench-") as folder:
        bench = Bench(Path(folder), net)
        try:
            bench.start()
            for number in range(rounds):
                for name, limit, work in cases(bench):
                    if wanted(name):
                        seconds = work()
                        taken.setdefault((name, limit), []).append(seconds)
                        print(f"round {number + 1}: {name}: {seconds:.2f} s", file=sys.stderr, flush=True)
        except AssertionError:
            print(bench.site.said(), file=sys.stderr)
            raise
        finally:
            for (name, limit), many in taken.items():
                median, least, most = statistics.median(many), min(many), max(many)
                print(f"| {name} | {median:.1f} s | {least:.1f} s | {most:.1f} s | {limit} |", flush=True)
            bench.site.clean_up()


if __name__ == "__main__":
    main()
