"""The gateways that `gateway.py` measures rbee against: what they are called, how they are installed, how they start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from gateway_tools import LOOPBACK, MODEL, NoStartError, free_port, last_line

_INSTALL_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another gateway.

    Args:
        name: of its distribution.
        requirement: what is installed.
        variants: configurations, each measured as a system of its own: a word for the table, and its arguments.
        command: its program in its environment, its own port, the worker's, a folder; gives the command line.
        environment: variables that it needs.
        key: what a client has to show; None where it asks for nothing.
        rust: whether rbee is held against it.
    """

    name: str
    requirement: str
    variants: Mapping[str, Sequence[str]]
    command: Callable[[Path, int, int, Path], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    rust: bool = True


class Environments:
    """Virtual environments, one for each peer, made once.

    Args:
        folder: for all of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failed: dict[str, NoStartError] = {}

    def install(self, peer: Peer) -> tuple[Path, str]:
        """Its folder of programs, and its version.

        Raises:
            NoStartError: it could not be installed, which is tried once.
        """
        if peer.name in self._failed:
            raise NoStartError(str(self._failed[peer.name]))
        try:
            return self._installed(peer)
        except NoStartError as error:
            self._failed[peer.name] = error
            raise

    def _installed(self, peer: Peer) -> tuple[Path, str]:
        place = self._folder / peer.name
        python = place / "bin" / "python"
        version = _version(python, peer.name)
        if version is None:
            print(f"installing {peer.requirement} into {place}", file=sys.stderr, flush=True)
            shutil.rmtree(place, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
            uv = shutil.which("uv")
            if uv is None:
                self._run(sys.executable, "-m", "venv", str(place))
                self._run(str(python), "-m", "pip", "install", "-q", peer.requirement)
            else:
                self._run(uv, "venv", "-q", "--no-project", "--python", sys.executable, str(place))
                self._run(uv, "pip", "install", "-q", "--python", str(python), peer.requirement)
            version = _version(python, peer.name)
        if version is None:
            raise NoStartError(f"{peer.requirement} was installed into {place} and is not there")
        return python.parent, version

    def _run(self, *command: str) -> None:
        # Away from the checkout: uv would bind the peers to its pins.
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_S, check=False, cwd=self._folder
        )
        if done.returncode:
            raise NoStartError(f"not installed: {last_line(done.stderr) or last_line(done.stdout)}")


def _version(python: Path, name: str) -> str | None:
    if not python.exists():
        return None
    asked = [str(python), "-c", "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))", name]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _vllm_router(programs: Path, port: int, worker: int, _folder: Path) -> list[str]:
    return [
        *(str(programs / "vllm-router"), "--host", LOOPBACK, "--port", str(port)),
        *("--worker-urls", f"http://{LOOPBACK}:{worker}", "--prometheus-port", str(free_port())),
        *("--log-level", "warning"),
    ]


def _sglang_router(programs: Path, port: int, worker: int, _folder: Path) -> list[str]:
    return [
        *(str(programs / "sglang-router"), "launch", "--host", LOOPBACK, "--port", str(port)),
        *("--worker-urls", f"http://{LOOPBACK}:{worker}", "--prometheus-port", str(free_port())),
        *("--log-level", "warn"),
    ]


def _litellm(programs: Path, port: int, worker: int, folder: Path) -> list[str]:
    config = folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n"
        f"      api_base: http://{LOOPBACK}:{worker}/v1\n      api_key: none\n",
        encoding="utf-8",
    )
    return [
        *(str(programs / "litellm"), "--config", str(config), "--host", LOOPBACK, "--port", str(port)),
        *("--num_workers", "1", "--telemetry", "False"),
    ]


def peers(secret: str) -> tuple[Peer, ...]:
    """All of them, in the order of the table.

    Args:
        secret: for those that do not start without one.
    """
    # The policy that each comes with keeps a tree of prompts; the other one is the cheapest.
    policies = MappingProxyType({"cache_aware": (), "round_robin": ("--policy", "round_robin")})
    key = f"sk-{secret}"
    return (
        Peer(name="vllm-router", requirement="vllm-router", variants=policies, command=_vllm_router),
        Peer(
            name="sglang-router",
            requirement="sglang-router",
            variants=policies,
            command=_sglang_router,
            # It would look for the worker's tokenizer on the internet.
            environment=MappingProxyType({"HF_HUB_OFFLINE": "1"}),
        ),
        Peer(
            name="litellm",
            requirement="litellm[proxy]",
            variants=MappingProxyType({"": ()}),
            command=_litellm,
            environment=MappingProxyType(
                {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
            ),
            key=key,
            rust=False,
        ),
    )
