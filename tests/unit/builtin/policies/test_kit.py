"""Every policy that is there from the start keeps the contract."""

from __future__ import annotations

import pytest
from rbee.builtin.policies import BalancedPolicy, LeastLoadedPolicy, MostVramFreePolicy, RoundRobinPolicy
from rbee.contract import Policy
from rbee.testing.conformance import PolicyContract


class TestBalancedPolicy(PolicyContract):
    @pytest.fixture
    def policy(self) -> Policy:
        return BalancedPolicy()


class TestLeastLoadedPolicy(PolicyContract):
    @pytest.fixture
    def policy(self) -> Policy:
        return LeastLoadedPolicy()


class TestMostVramFreePolicy(PolicyContract):
    @pytest.fixture
    def policy(self) -> Policy:
        return MostVramFreePolicy()


class TestRoundRobinPolicy(PolicyContract):
    @pytest.fixture
    def policy(self) -> Policy:
        return RoundRobinPolicy()
