"""What the steps of a scenario share: the colony, and what its people and clients do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import httpx2
import psutil
from rbee.testing.colony import eventually
from rbee.testing.networks import Network
from rbee.testing.programs import Program
from rbee.testing.site import Site
from rbee_demo.vendor import model_data

T = TypeVar("T")

PYTHON = ("What is Python?", "Python is an interpreted, interactive, object-oriented programming language.")
PATIENCE_S = 30.0
"""For what has no limit of its own; every limit that is promised is shorter."""
EVERY_SECOND = {
    "registry.heartbeat_s": "1",
    "registry.online_s": "3",
    "worker.heartbeat_s": "1",
    "telemetry.worker_stale_s": "4",
    "telemetry.worker_gone_s": "6",
    "telemetry.hive_degraded_s": "2",
    "telemetry.hive_down_s": "4",
    "telemetry.cleanup_s": "8",
}


def soon(check: Callable[[], T], within: float = PATIENCE_S) -> T:
    """As `eventually`, without asking the programs so often that it slows them down."""
    return eventually(check, within, every=0.1)


def throughout(check: Callable[[], bool], seconds: float) -> None:
    """Check again and again, for what is only seen by nothing happening for some time.

    Raises:
        AssertionError: it was not so once.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert check(), f"no longer so {until - time.monotonic():.1f} s before the end"
        time.sleep(0.2)


class Stream:
    """A client that reads a streamed answer of a worker, in a thread of its own.

    Args:
        site: has the token.
        url: the worker's.
        model: it serves.
    """

    def __init__(self, site: Site, url: str, model: str) -> None:
        self._site, self._url, self._model = site, url, model
        self.words: list[tuple[float, str]] = []
        self.error: Exception | None = None
        self.ended = False
        self._thread = threading.Thread(target=self._read)

    def start(self) -> Stream:
        """Ask, and return with the first word."""
        self._thread.start()
        soon(lambda: self.words or self.error)
        assert self.error is None, self.error
        return self

    def wait(self) -> Stream:
        """Return once the answer has ended."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "the stream does not end"
        return self

    def _read(self) -> None:
        body = {"model": self._model, "prompt": "word after word", "stream": True}
        try:
            with self._site.http.stream("POST", f"{self._url}/v1/completions", json=body) as answer:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    if line == "data: [DONE]":
                        self.ended = True
                    elif line.startswith("data:"):
                        self.words.append((time.monotonic(), line))
        except httpx2.HTTPError as error:
            self.error = error


class Scene:
    """A colony, its workers by name, and questions with patience.

    Args:
        make_site: of the kit.
        make_network: opens a network whose cables can be pulled, or skips the test.
    """

    def __init__(self, make_site: Callable[..., Site], make_network: Callable[[], Network]) -> None:
        self._make_site, self._make_network = make_site, make_network
        self._site: Site | None = None
        self.settings: dict[str, str] = {}
        self.network: Network | None = None
        self.hives: dict[str, Program] = {}
        self.by_hand: dict[str, Program] = {}
        self.first_seen: dict[str, tuple[int, float]] = {}
        self.newest = ""
        self.stream: Stream | None = None
        self.queen_killed_at = self.queen_started_at = self.queen_back_at = 0.0

    # --- the colony ----------------------------------------------------------------------------------------------

    @property
    def site(self) -> Site:
        """The colony, made when it is first needed: by then its settings are known."""
        if self._site is None:
            place = {}
            if self.network is not None:
                place = {"address": self.network.address("first"), "prefix": self.network.prefix("first")}
            self._site = self._make_site(self.settings, **place)
        return self._site

    def join_networks(self, *names: str) -> None:
        """Machines with networks of their own, from here on."""
        self.network = self._make_network()
        for name in names:
            self.network.join(name)

    def start_queen(self) -> None:
        """Start the queen where the colony expects her."""
        self.queen_started_at = time.monotonic()
        self.site.queen.start()
        self.queen_back_at = time.monotonic()

    def hive(self, name: str) -> Program:
        """The hive of a machine, which need not run."""
        if name not in self.hives:
            place = (self.network.address(name), self.network.prefix(name)) if self.network is not None else ()
            self.hives[name] = self.site.program("hive", self.site.machine(name, *place))
        return self.hives[name]

    def spawn(self, hive: str, worker_id: str, model: str) -> None:
        """A hive starts a worker, asked through the queen."""
        soon(lambda: self.hears(hive))
        last = self.site.run_job("worker_spawn", hive_id=hive, model=model, worker_id=worker_id)
        assert last["type"] == "done", last
        self.remember(worker_id)

    def by_person(self, worker_id: str, model: str, *, queen: bool = False) -> None:
        """A worker is started by hand; the real model's file is given, as nobody fetches it."""
        site = self.site
        path = str(model_data("rbee-tiny-q8_0.gguf")) if model == "demo" else None
        program = site.worker_by_hand(
            worker_id,
            model,
            registry_url=site.registry.url,
            queen_url=site.queen.url if queen else None,
            model_path=path,
        )
        self.by_hand[worker_id] = program.start()
        self.newest = worker_id
        self._note(worker_id, program.pid)

    def remember(self, worker_id: str) -> None:
        """Note a worker's process, to see later that it is the same."""

        def measured() -> bool:
            pid = self.record(worker_id)["pid"]
            if pid is not None:
                self._note(worker_id, pid)
            return pid is not None

        soon(measured)

    def _note(self, worker_id: str, pid: int) -> None:
        self.first_seen[worker_id] = (pid, psutil.Process(pid).create_time())

    def pid(self, worker_id: str) -> int:
        """A worker's process."""
        return self.first_seen[worker_id][0]

    def is_same_process(self, worker_id: str) -> bool:
        """Whether the worker is still the process that it was at first."""
        pid, _ = self.first_seen[worker_id]
        return self.record(worker_id)["pid"] in {pid, None} and self.is_alive(worker_id)

    def is_alive(self, worker_id: str) -> bool:
        """Whether the process that the worker was at first has not ended."""
        pid, born = self.first_seen[worker_id]
        try:
            process = psutil.Process(pid)
            # Orphans are not everywhere taken away by the system at once.
            return process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    # --- what is seen --------------------------------------------------------------------------------------------

    def records(self) -> dict[str, dict]:
        """Workers as the queen lists them, by id."""
        return {one["worker_id"]: one for one in self.site.workers()}

    def record(self, worker_id: str) -> dict:
        """One of them."""
        found = self.records()
        assert worker_id in found, f"the queen knows {sorted(found)}"
        return found[worker_id]

    def listed(self, *worker_ids: str) -> bool:
        """Check that the queen lists these workers and no other, none of them twice."""
        found = [one["worker_id"] for one in self.site.workers()]
        assert sorted(found) == sorted(worker_ids)
        return True

    def leased(self, kind: str, *ids: str) -> bool:
        """Check that the registry lists these components of a kind and no other."""
        found = sorted(name for one, name in self.site.components() if one == kind)
        assert found == sorted(ids)
        return True

    def present(self, presence: str, *worker_ids: str) -> bool:
        """Check that these workers, and perhaps others, have that presence in the queen's eyes."""
        found = {name: one["presence"] for name, one in self.records().items()}
        assert {name: found.get(name) for name in worker_ids} == dict.fromkeys(worker_ids, presence)
        return True

    def hears(self, hive: str) -> bool:
        """Whether the queen hears a hive, with its devices."""
        found = self.site.hives().get(hive)
        return found is not None and found["online"] and bool(found["devices"])

    def told_by_itself(self, worker_id: str) -> bool:
        """Whether the worker has spoken to the queen: only its own beats tell slots, and these are young."""
        found = self.record(worker_id)
        age = found["heartbeat_age_s"]
        return found["slots_total"] is not None and age is not None and found["presence"] in {"online", "unobserved"}

    # --- what clients do -----------------------------------------------------------------------------------------

    def ask(self, model: str, within: float = 60.0) -> httpx2.Response:
        """One request to the queen, its answer whole."""
        prompt = PYTHON[0] if model == "demo" else f"to {model}"
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
        return self.site.http.post(f"{self.site.queen.url}/v1/chat/completions", json=body, timeout=within)

    def is_answered(self, model: str) -> bool:
        """Check that a request for the model gets the right answer."""
        answer = self.ask(model)
        assert answer.status_code == 200, answer.text
        text = answer.json()["choices"][0]["message"]["content"]
        if "tokens=" not in model:
            assert text == (PYTHON[1] if model == "demo" else f"to {model}")
        return True

    def ask_without_queen(self, model: str) -> str:
        """A person at a machine that knows only where the registry is."""
        machines = self.site.machines
        client = machines.get("client") or self.site.machine("client", **{"registry.url": self.site.registry.url})
        answer = client.cli("infer", model, PYTHON[0], "--queenless", "--temperature", "0")
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()
