"""Where rbee keeps its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rbee.contract.errors import ConfigurationError


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one colony on one machine.

    Attributes:
        config: ``config.toml`` and ``token``.
        home: data bases that outlive a restart.
        data: models and engines.
        state: what is running, and logs.
    """

    config: Path
    home: Path
    data: Path
    state: Path

    @classmethod
    def locate(cls, environ: Mapping[str, str]) -> Folders:
        """The folders for an environment; ``RBEE_HOME`` puts all of them under one.

        Raises:
            ConfigurationError: ``RBEE_HOME`` is not an absolute path.
        """
        root = environ.get("RBEE_HOME")
        if root:
            base = Path(root).expanduser()
            if not base.is_absolute():
                raise ConfigurationError(f"RBEE_HOME must be an absolute path, and {root!r} is not.")
            return cls(config=base / "config", home=base, data=base / "data", state=base / "state")
        # A late import: most runs of the command line set nothing and need only this once.
        import platformdirs

        places = platformdirs.PlatformDirs("rbee", appauthor=False)
        return cls(
            config=Path(places.user_config_dir),
            home=Path.home() / ".rbee",
            data=Path(places.user_data_dir),
            state=Path(places.user_state_dir),
        )

    @property
    def config_file(self) -> Path:
        """The configuration."""
        return self.config / "config.toml"

    @property
    def token_file(self) -> Path:
        """The colony's token."""
        return self.config / "token"

    @property
    def logs(self) -> Path:
        """Logs of programs and workers."""
        return self.state / "logs"

    @property
    def models(self) -> Path:
        """Models that the catalogue owns."""
        return self.data / "models"

    def make(self) -> None:
        """Create all folders, for this user alone.

        Raises:
            ConfigurationError: one cannot be made or written; the message names it.
        """
        # Home first: it may hold the others, and parents are made with the mode of the day.
        for folder in (self.home, self.config, self.data, self.models, self.state, self.logs):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise ConfigurationError(
                    f"Folder '{folder}' cannot be made: {error.strerror}. "
                    "Make it writable, or set RBEE_HOME to a folder that is."
                ) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise ConfigurationError(
                    f"Folder '{folder}' is not writable. Make it so, or set RBEE_HOME to a folder that is."
                )
