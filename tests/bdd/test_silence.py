"""Who is silent, and who is gone."""

from pytest_bdd import scenarios

scenarios("features/silence.feature")
