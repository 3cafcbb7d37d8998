"""Whoever is started first."""

from pytest_bdd import scenarios

scenarios("features/start_order.feature")
