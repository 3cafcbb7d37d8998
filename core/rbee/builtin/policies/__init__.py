"""Policies that every colony has."""

from rbee.builtin.policies.balanced import BalancedPolicy
from rbee.builtin.policies.least_loaded import LeastLoadedPolicy
from rbee.builtin.policies.most_vram_free import MostVramFreePolicy
from rbee.builtin.policies.round_robin import RoundRobinPolicy
from rbee.builtin.policies.seed import SeedPolicy

__all__ = ["BalancedPolicy", "LeastLoadedPolicy", "MostVramFreePolicy", "RoundRobinPolicy", "SeedPolicy"]
