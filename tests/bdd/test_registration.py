"""One record a worker."""

from pytest_bdd import scenarios

scenarios("features/registration.feature")
