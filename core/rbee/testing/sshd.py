"""A real SSH server for tests: on loopback, with keys, configuration and a home of its own.

Sessions run as the user who runs the tests, but their ``$HOME``, and where they begin, is a temporary folder.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import asyncssh
import psutil

from rbee.remote.target import Target

_SSHD = "/usr/sbin/sshd"
_SFTP = ("/usr/lib/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/libexec/openssh/sftp-server")
_PRIVILEGES = Path("/run/sshd")
_START_S = 10.0
LOOPBACK = "127.0.0.1"


def why_no_sshd() -> str | None:
    """Why no SSH server can be started here; None where one can."""
    if not Path(_SSHD).is_file():
        return f"{_SSHD} is missing: install openssh-server"
    if not any(Path(one).is_file() for one in _SFTP):
        return "sftp-server is missing: install openssh-sftp-server"
    if os.geteuid() == 0 and not _PRIVILEGES.is_dir():
        # What the system makes when its own server starts; without it a server of root does not begin.
        try:
            _PRIVILEGES.mkdir(mode=0o755)
        except OSError as error:
            return f"'{_PRIVILEGES}' cannot be made: {error.strerror}"
    return None


class Sshd:
    """An SSH server.

    Args:
        folder: becomes its home, beside its keys and configuration.
        sftp: whether it has the SFTP subsystem.
        forwarding: whether it forwards ports.
        extra: more lines of its configuration.
        environment: more variables of its sessions; values without quotes and spaces.
        prefix: begins its command line; what leads into the machine's network.
        address: where it listens.
        port: likewise; 0 takes a free one.

    Attributes:
        home: where its sessions begin, and their ``$HOME``.
        key: private key that may log in.
        user: who logs in.
        port: where it listens.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sftp: bool = True,
        forwarding: bool = True,
        extra: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        address: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.key = folder / "login"
        self.user = getpass.getuser()
        self.address = address
        self.port = port
        self._sftp = sftp
        self._forwarding = forwarding
        self._extra = extra
        self._environment = environment or {}
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def fingerprint(self) -> str:
        """Of its host key."""
        return asyncssh.read_public_key(self._host_key.with_suffix(".pub")).get_fingerprint("sha256")

    @property
    def known_hosts(self) -> Path:
        """A file of known hosts that knows this server alone."""
        file = self.folder / "known_hosts"
        public = self._host_key.with_suffix(".pub").read_text()
        file.write_text(f"[{self.address}]:{self.port} {public}")
        return file

    def target(self, name: str = "there", *, pinned: bool = True) -> Target:
        """How it is reached, without the SSH configuration of whoever runs the tests.

        Args:
            name: of the machine.
            pinned: whether its key has been agreed on.
        """
        config = self.folder / "no_config"
        config.touch()
        return Target(
            name=name,
            host=self.address,
            port=self.port,
            user=self.user,
            key=self.key,
            jumps=(),
            pinned=self.fingerprint if pinned else None,
            config=config,
            known_hosts=self.folder / "no_known_hosts",
        )

    def start(self) -> Self:
        """Start it; started again, it keeps its port and keys."""
        if not self._host_key.exists():
            self.home.mkdir(parents=True)
            self.change_host_key()
            _make_key(self.key)
            (self.folder / "authorized_keys").write_bytes(self.key.with_suffix(".pub").read_bytes())
        # Another may take a free port before the server does: then another one is free.
        for _ in range(5):
            port = self.port or _free_port(self.address)
            if self._started(port):
                self.port = port
                return self
        raise AssertionError(f"the SSH server did not start: {self._log.read_text()}")

    def change_host_key(self) -> None:
        """Give it another host key, which it shows from its next start on."""
        for file in (self._host_key, self._host_key.with_suffix(".pub")):
            file.unlink(missing_ok=True)
        _make_key(self._host_key)

    def stop(self) -> None:
        """End it with all of its sessions."""
        if self._process is None:
            return
        sessions = _descendants(self._process.pid)
        self._process.terminate()
        self._process.wait()
        self._process = None
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    @property
    def _host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def _log(self) -> Path:
        return self.folder / "sshd.log"

    def _started(self, port: int) -> bool:
        config = self.folder / "sshd_config"
        config.write_text("\n".join(self._lines(port)) + "\n")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, _SSHD, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self._process.poll() is None:
            if f"port {port}" in self._log.read_text().rpartition("Server listening on")[2]:
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def _lines(self, port: int) -> Iterator[str]:
        wrapper = self.folder / "session.sh"
        wrapper.write_text('cd "$HOME" || exit 1\nexec /bin/sh -c "${SSH_ORIGINAL_COMMAND:-exec sh}"\n')
        environment = {"HOME": str(self.home), **self._environment}
        yield f"ListenAddress {self.address}:{port}"
        yield f"HostKey {self._host_key}"
        yield "PidFile none"
        yield f"AuthorizedKeysFile {self.folder / 'authorized_keys'}"
        yield "AuthenticationMethods publickey"
        yield "UsePAM no" if os.geteuid() == 0 else "PasswordAuthentication no"
        yield "PermitRootLogin prohibit-password"
        # The folder of a test may be anybody's to write.
        yield "StrictModes no"
        yield "MaxStartups 100"
        yield "MaxSessions 100"
        yield f"AllowTcpForwarding {'yes' if self._forwarding else 'no'}"
        yield "SetEnv " + " ".join(f"{name}={value}" for name, value in environment.items())
        yield f"ForceCommand exec /bin/sh {wrapper}"
        if self._sftp:
            yield f"Subsystem sftp {next(one for one in _SFTP if Path(one).is_file())}"
        yield from self._extra


def _make_key(file: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(file)
    file.chmod(0o600)
    key.write_public_key(file.with_suffix(".pub"))


def _free_port(address: str) -> int:
    with socket.socket() as found:
        found.bind((address, 0))
        port: int = found.getsockname()[1]
        return port


def _descendants(pid: int) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [one.pid for one in psutil.Process(pid).children(recursive=True)]
    return []


@contextlib.contextmanager
def running_sshd(folder: Path, **options: object) -> Iterator[Sshd]:
    """An SSH server as long as the context is open; see `Sshd`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    server = Sshd(folder, **options)  # type: ignore[arg-type]  # passed on as they came
    try:
        yield server.start()
    finally:
        server.stop()
