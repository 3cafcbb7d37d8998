"""What the way from the queen to a worker costs: plain on loopback, over TLS, and through the queen's SSH tunnel.

By hand, on a Linux machine that does nothing else, as an administrator, with a C compiler::

    .venv/bin/python tests/bench/tls.py
    .venv/bin/python tests/bench/tls.py --model demo --only loopback,tls --rounds 3

Each way is a colony of its own, and all of them are up together: a queen and, for TLS and the tunnel in a network of
its own, a machine with one worker.  The client is a small C program beside the queen, which asks her over plain
loopback in all of them, so that what differs is what lies between queen and worker.  In each round all ways are
measured in turn; the table has medians.  With `echo` a token costs the worker next to nothing, which makes the way's
share as large as it can be; with a model it is what users see.  Quote ratios of one run, never a bare figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gateway_tools import BenchError, Target, Tools, last_line
from rbee.testing.colony import eventually
from rbee.testing.networks import Network, network, why_not
from rbee.testing.site import Site
from rbee.testing.sshd import running_sshd, why_no_sshd

ROOT = Path(__file__).resolve().parents[2]
BASE = "loopback"
PATIENCE_S = 60.0
TUNNEL_S = 40.0
WORKER = "w"
_FIREWALL = ("-A INPUT -i lo -j ACCEPT", "-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -j DROP")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the load goes.

    Args:
        port: the queen's, on loopback.
        token: the colony's.
        prefix: leads into the queen's network.
        programs: the queen's process, and the worker's.
    """

    port: int
    token: str
    prefix: tuple[str, ...]
    programs: tuple[Target, Target]

    def cpu_s(self) -> tuple[float, float]:
        """Processor seconds of queen and worker until now."""
        queen, worker = (one.cpu_s() or 0.0 for one in self.programs)
        return queen, worker


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What clients saw in one run.

    Args:
        tokens_per_s: of whole answers.
        first_token_us: median.
        queen_us: processor time of the queen for a token.
        worker_us: and of the worker.
    """

    tokens_per_s: float
    first_token_us: float
    queen_us: float
    worker_us: float


def on_loopback(site: Site, folder: Path, net: Network | None) -> contextlib.AbstractContextManager[None]:
    """A worker on the queen's own loopback, without TLS."""
    site.hive("attic").start()
    return contextlib.nullcontext()


def over_tls(site: Site, folder: Path, net: Network | None) -> contextlib.AbstractContextManager[None]:
    """A worker on another machine, which the queen reaches."""
    assert net is not None
    attic = site.machine("attic", net.address("attic"), net.prefix("attic"))
    site.program("hive", attic).start()
    return contextlib.nullcontext()


@contextlib.contextmanager
def through_tunnel(site: Site, folder: Path, net: Network | None) -> Iterator[None]:
    """A worker on another machine, whose firewall lets SSH in and nothing else: TLS, within SSH."""
    assert net is not None
    for words in _FIREWALL:
        subprocess.run([*net.prefix("attic"), "iptables", *words.split()], check=True, capture_output=True)
    options = {"prefix": net.prefix("attic"), "address": net.address("attic"), "port": 22}
    with running_sshd(folder / "sshd", **options) as sshd:
        attic = site.machine("attic", net.address("attic"), net.prefix("attic"))
        hive = site.program("hive", attic)
        # It knows neither the queen nor a registry.
        del attic.settings["registry.url"]
        hive.start()
        body = {
            "node_name": "attic",
            "ssh_host": sshd.address,
            "ssh_user": sshd.user,
            "ssh_key_path": str(sshd.key),
            "host_key_fingerprint": sshd.fingerprint,
        }
        site.http.post(f"{site.queen_url}/v2/registry/beehives/add", json=body).raise_for_status()
        yield


Way = Callable[[Site, Path, Network | None], contextlib.AbstractContextManager[None]]
WAYS: Mapping[str, Way] = MappingProxyType({BASE: on_loopback, "tls": over_tls, "tunnel": through_tunnel})
"""Each starts the hive `attic`; the first is what the others are compared with."""


@contextlib.contextmanager
def opened(name: str, number: int, folder: Path, model: str, slots: int) -> Iterator[Place]:
    """A colony with one worker of a model.

    Args:
        name: of the way.
        number: tells networks apart.
        folder: for its files.
        model: of the worker.
        slots: of the worker.

    Raises:
        BenchError: this way cannot be gone here.
    """
    if name != BASE and (reason := why_not()) is not None:
        raise BenchError(reason)
    if name == "tunnel" and (reason := why_no_sshd()) is not None:
        raise BenchError(reason)
    with contextlib.ExitStack() as stack:
        net = None if name == BASE else stack.enter_context(network(number))
        if net is None:
            site = Site(folder)
        else:
            net.join("first")
            net.join("attic")
            site = Site(folder, address=net.address("first"), prefix=net.prefix("first"))
        try:
            site.registry.start()
            site.queen.start()
            with WAYS[name](site, folder, net):
                try:
                    eventually(lambda: site.hives().get("attic", {}).get("online"), TUNNEL_S, every=0.2)
                    wanted = {"hive_id": "attic", "model": model, "worker_id": WORKER, "slots": slots}
                    last = site.run_job("worker_spawn", **wanted)
                    assert last["type"] == "done", last
                    (worker,) = eventually(lambda: [one for one in site.workers() if one["routable"]], PATIENCE_S)
                    port, prefix = site.queen.port, () if net is None else net.prefix("first")
                    programs = Target(port=port, pid=site.queen.pid), Target(port=port, pid=worker["pid"])
                    yield Place(port=port, token=site.token, prefix=prefix, programs=programs)
                except AssertionError as error:
                    said = f"{error}\n{site.said()}"
                    raise BenchError(said) from None
        finally:
            site.clean_up()


def loaded(
    tool: Path, place: Place, model: str, concurrency: int, seconds: float, prompt_bytes: int, *, stream: bool = True
) -> Figures:
    """Put load on a queen and return once its last answer is there.

    Args:
        tool: the load generator.
        place: where.
        model: that is asked for.
        concurrency: connections, each with one request at a time.
        seconds: after them no request begins.
        prompt_bytes: of each prompt.
        stream: whether answers are streamed.

    Raises:
        BenchError: no figures came, or not all answers were right.
    """
    words = [*place.prefix, str(tool), "--port", str(place.port), "--model", model, "--stream", str(int(stream))]
    words += ["--concurrency", str(concurrency), "--seconds", str(seconds), "--prompt-bytes", str(prompt_bytes)]
    words += ["--header", f"Authorization: Bearer {place.token}"]
    before = place.cpu_s()
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds + PATIENCE_S)
    if not done.stdout.strip():
        raise BenchError(f"no figures from {tool.name}: {last_line(done.stderr)}")
    told = json.loads(done.stdout)
    if told["errors"] or told["ok"] < concurrency:
        raise BenchError(f"{told['errors']} errors (last status {told['last_bad_status']}), {told['ok']} right answers")
    spent = [
        (then - now) * 1e6 / (told["tok_s"] * told["seconds"]) for now, then in zip(before, place.cpu_s(), strict=True)
    ]
    return Figures(
        tokens_per_s=told["tok_s"], first_token_us=told["ttft_us_p50"], queen_us=spent[0], worker_us=spent[1]
    )


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="echo", help="of the workers")
    parser.add_argument("--only", metavar="WAY,...", default=",".join(WAYS), help=f"these alone: {', '.join(WAYS)}")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--concurrency", type=int, default=8, help="connections, beside one alone")
    parser.add_argument("--prompt-bytes", type=int, default=384, help="of each prompt")
    parser.add_argument("--tools", type=Path, default=ROOT.parent / "shared" / "bench", help="folder of the C files")
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Print the table.

    Raises:
        BenchError: something is missing without which nothing can be measured.
    """
    Tools(options.tools.resolve(), folder)
    tool = folder / "tokenload"
    chosen = [name for name in WAYS if name in {BASE, *options.only.split(",")}]
    taken: dict[tuple[str, int], list[Figures]] = {}
    with contextlib.ExitStack() as stack:
        places: dict[str, Place] = {}
        for number, name in enumerate(chosen):
            print(f"starting {name}", file=sys.stderr, flush=True)
            try:
                way = opened(name, number, folder / name, options.model, options.concurrency)
                places[name] = stack.enter_context(way)
            except BenchError as error:
                if name == BASE:
                    raise
                print(f"no rows for {name}: {error}", file=sys.stderr, flush=True)
        for turn in range(-1, options.rounds):
            for name, place in places.items():
                for concurrency in (1, options.concurrency):
                    # The first round warms up and does not count.
                    found = loaded(tool, place, options.model, concurrency, options.seconds, options.prompt_bytes)
                    if turn >= 0:
                        taken.setdefault((name, concurrency), []).append(found)
                        print(f"round {turn + 1}: {name} on {concurrency}: {found}", file=sys.stderr, flush=True)
        print(table(taken, list(places), options.concurrency))


def table(taken: Mapping[tuple[str, int], list[Figures]], ways: list[str], concurrency: int) -> str:
    """Medians, and their ratios to plain loopback."""

    def rate(way: str, number: int) -> float:
        return statistics.median(one.tokens_per_s for one in taken[way, number])

    def first(way: str) -> float:
        return statistics.median(one.first_token_us for one in taken[way, 1]) / 1000

    def spent(way: str) -> list[float]:
        found = taken[way, concurrency]
        return [statistics.median(one.queen_us for one in found), statistics.median(one.worker_us for one in found)]

    heads = ["queen to worker", "tokens/s on 1", "ratio", f"tokens/s on {concurrency}", "ratio", "first token p50"]
    heads += ["added", f"CPU per token on {concurrency}: queen", "worker"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for way in ways:
        cells = [way]
        for number in (1, concurrency):
            cells += [f"{rate(way, number):.0f}", f"{rate(way, number) / rate(BASE, number):.2f}"]
        cells += [f"{first(way):.2f} ms", f"{first(way) - first(BASE):+.2f} ms"]
        cells += [f"{one:.0f} µs" for one in spent(way)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    options = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="rbee-bench-") as name:
            measure(options, Path(name))
    except BenchError as error:
        raise SystemExit(f"tls.py: {error}") from None


if __name__ == "__main__":
    main()
