"""What every command starts from: folders, settings, token."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import click

from rbee.contract.errors import ConfigurationError
from rbee.settings import Folders, Loaded, Settings, load_settings, load_token
from rbee.settings.load import variable_of

if TYPE_CHECKING:
    from rbee.clients import Credentials
    from rbee.trust.identity import Identity


class Context:
    """Read on demand, once.

    Args:
        overrides: settings of the command line.
    """

    def __init__(self, overrides: Mapping[str, str]) -> None:
        self.overrides = dict(overrides)

    @cached_property
    def folders(self) -> Folders:
        """Where the colony's files are."""
        return Folders.locate(os.environ)

    @cached_property
    def loaded(self) -> Loaded:
        """Settings with their sources."""
        return load_settings(self.folders.config_file, os.environ, self.overrides)

    @property
    def settings(self) -> Settings:
        """Settings in force."""
        return self.loaded.settings

    def environment(self) -> dict[str, str]:
        """The environment for processes that must have the same settings, those of the command line included."""
        return {**os.environ, **{variable_of(name): value for name, value in self.overrides.items()}}

    @property
    def plugins_wanted(self) -> str | None:
        """``RBEE_PLUGINS``: names of the plugins to load, None for all."""
        return os.environ.get("RBEE_PLUGINS")

    def check(self) -> None:
        """Raise ConfigurationError when a setting is wrong, for commands that need none themselves."""
        _ = self.settings

    def token(self) -> str:
        """The colony's token, for those who ask others; who only asks makes none that nobody else would know.

        Raises:
            ConfigurationError: there is none, or it will not do.
        """
        token = self.present_token()
        if token is None:
            raise ConfigurationError(f"There is no token at '{self.folders.token_file}'. {self.copy_token}")
        return token

    def make_token(self) -> str:
        """The colony's token, made when there is none yet: for programs that start.

        Raises:
            ConfigurationError: it will not do, or cannot be made.
        """
        token = load_token(self.folders.token_file, os.environ, create=True)
        if token is None:
            raise ConfigurationError(f"There is no token at '{self.folders.token_file}'. {self.copy_token}")
        return token

    def credentials(self) -> Credentials:
        """What is shown to programs of the colony; raises as `token`."""
        from rbee.clients import Credentials

        return Credentials(self.token(), self._trusted)

    def present_credentials(self) -> Credentials:
        """The same, as far as there is any."""
        from rbee.clients import Credentials

        return Credentials(self.present_token(), self._trusted)

    @cached_property
    def _trusted(self) -> Identity | None:
        """Whom this machine's programs trust; None where it is in no colony of several machines."""
        for folder in (self.folders.config / "identity", self.folders.config / "identity" / "queen"):
            if (folder / "roots.pem").is_file():
                # Late: what reads certificates takes long to load.
                from rbee.trust.identity import Identity

                return Identity(folder, shows=False)
        return None

    @property
    def copy_token(self) -> str:
        """What to do where a program of the colony refuses this home's token, or where there is none."""
        return (
            "Copy the token file of the colony's machine (`rbee config path token` there) "
            f"to '{self.folders.token_file}', mode 0600."
        )

    def present_token(self) -> str | None:
        """The colony's token; None when there is none yet, and none is made."""
        return load_token(self.folders.token_file, os.environ)


def current() -> Context:
    """The context of the command that runs."""
    return Context(click.get_current_context().find_root().obj or {})
