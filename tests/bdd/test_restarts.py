"""Programs that are killed and come back."""

from pytest_bdd import scenarios

scenarios("features/restarts.feature")
