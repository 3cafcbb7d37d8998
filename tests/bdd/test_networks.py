"""Machines that are cut off."""

from pytest_bdd import scenarios

scenarios("features/networks.feature")
