"""Core's own plugin: always loaded, also in the safe mode."""

from __future__ import annotations

from rbee.builtin.host_probe import HostProbe
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.builtin.openai_server import OpenAIServerEngine, OpenAIServerVendor
from rbee.builtin.policies import (
    BalancedPolicy,
    LeastLoadedPolicy,
    MostVramFreePolicy,
    RoundRobinPolicy,
    SeedPolicy,
)
from rbee.builtin.python_workers import PythonWorkerVendor
from rbee.builtin.web_vendor import WebVendor
from rbee.contract.hookspecs import hookimpl
from rbee.contract.register import Register

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Register what every colony has: of each kind the one that needs no plugin, and servers that run already."""
    register.probe(HostProbe)
    register.presence_store(MemoryPresenceStore)
    for policy in (BalancedPolicy, SeedPolicy, RoundRobinPolicy, LeastLoadedPolicy, MostVramFreePolicy):
        register.policy(policy)
    register.model_vendor(WebVendor)
    register.model_vendor(OpenAIServerVendor)
    register.engine(OpenAIServerEngine)
    register.worker_vendor(PythonWorkerVendor)
