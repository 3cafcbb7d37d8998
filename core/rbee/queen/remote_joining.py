"""Letting a machine that is reached over SSH join the colony: the line is proof enough, nobody has to type anything."""

from __future__ import annotations

from collections.abc import Callable

from rbee.contract.errors import ConflictError, RbeeError
from rbee.contract.wire import InvitationWish
from rbee.queen.certificates import Certificates
from rbee.queen.enrolling import Enrolling
from rbee.queen.remote_hive import AtWork
from rbee.remote.installing import cause_of, failed
from rbee.trust.names import Role

_JOIN_S = 90.0
_MINUTES = 10.0


class RemoteJoining:
    """Gives certificates to hives on other machines.

    Args:
        certificates: what has been given.
        enrolling: invites.
        online: whether the queen hears a hive of that name.
    """

    def __init__(self, certificates: Certificates, enrolling: Enrolling, online: Callable[[str], bool]) -> None:
        self._certificates = certificates
        self._enrolling = enrolling
        self._online = online

    def check(self, name: str) -> None:
        """That a machine can join at all.

        Raises:
            ConflictError: the colony is on loopback alone.
        """
        try:
            _ = self._certificates.authority
        except ConflictError as error:
            raise ConflictError(
                f"Hive {name!r} cannot join: the queen listens on loopback alone, where other machines do not reach "
                "her. Start her with an address that they reach: rbee --set server.host=0.0.0.0 up"
            ) from error

    def check_not_put_out(self, name: str) -> None:
        """Whether a hive would be let in, if it were started.

        Raises:
            ConflictError: what it was given was taken back.
        """
        self.check(name)
        if self._certificates.authority.issued.was_put_out(Role.HIVE, name):
            raise ConflictError(
                f"The certificate of hive {name!r} was revoked. To let it join again: rbee hive install {name}"
            )

    async def join(self, hive: AtWork, environment: str, queen_url: str) -> bool:
        """Give a machine its certificate, unless it has one that holds.

        Args:
            hive: its machine.
            environment: which rbee there asks.
            queen_url: as the machine reaches her.

        Returns:
            Whether it was given one.

        Raises:
            ConflictError: another hive of that name is online.
            RbeeError: it could not join, and why.
        """
        self.check(hive.name)
        authority = self._certificates.authority
        layout = hive.found.layout
        held = authority.issued.holds(Role.HIVE, hive.name)
        joined = await self._has_joined(hive, authority.fingerprint)
        if joined:
            await self._check_is_its_own(hive)
        if held and joined:
            return False
        if held:
            if self._online(hive.name):
                raise ConflictError(
                    f"There is a hive {hive.name!r} in the colony already, on another machine than {hive.host.name}. "
                    f"Enter this one by another name, or put that one out: rbee ca revoke hive {hive.name}"
                )
            # The machine has lost what it was given: nobody else shall go on with that.
            self._certificates.revoke(Role.HIVE, hive.name, "installed anew")
        hive.say(f"Letting {hive.host.name} join the colony as hive {hive.name}")
        invitation = self._enrolling.invite(InvitationWish(name=hive.name, minutes=_MINUTES, approved=True))
        argv = ["/usr/bin/env", f"RBEE_HOME={layout.home}", str(layout.python(environment)), "-m", "rbee"]
        argv += ["hive", "join", queen_url, "--token", "-", "--ca-fingerprint", invitation.ca_fingerprint]
        argv += ["--name", hive.name, "--force"]
        # Not among the words of the command: every user of that machine can read those.
        done = await hive.host.run(argv, stdin=f"{invitation.token}\n".encode(), timeout_s=_JOIN_S)
        if not done.good:
            remedy = f"See that {queen_url} is reached from there: rbee hive doctor {hive.name}"
            raise failed("Joining the colony", hive.host, cause_of(done).removeprefix("rbee: "), remedy, RbeeError)
        return True

    def forget(self, name: str) -> bool:
        """Take back what a machine was given that is to be forgotten; whether there was anything."""
        try:
            if not self._certificates.authority.issued.holds(Role.HIVE, name):
                return False
        except ConflictError:
            return False
        self._certificates.revoke(Role.HIVE, name, "uninstalled")
        return True

    async def _check_is_its_own(self, hive: AtWork) -> None:
        """Whether the machine has not joined as another hive, whose place this one would take.

        Raises:
            ConflictError: it has.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        from rbee.trust.certificates import peer_of

        # The certificate alone: the key in the same file stays where it is.
        path = hive.found.layout.home / "config" / "identity" / "identity.pem"
        argv = ["/usr/bin/env", "sed", "-n", "/BEGIN CERTIFICATE/,/END CERTIFICATE/p", str(path)]
        shown = await hive.host.run(argv)
        try:
            peer = peer_of(x509.load_pem_x509_certificate(shown.out.encode()).public_bytes(Encoding.DER))
        except ValueError:
            return
        if peer is None or peer.id == hive.name or not self._certificates.authority.issued.holds(Role.HIVE, peer.id):
            return
        raise ConflictError(
            f"Rbee in '{hive.found.layout.root}' on {hive.host.name} is hive {peer.id!r} of this colony. Go on with it "
            f"by that name; or put it out first: rbee ca revoke hive {peer.id}; or install a second one in another "
            "folder and at another port: rbee hive add with --install-path and --port"
        )

    async def _has_joined(self, hive: AtWork, fingerprint: str) -> bool:
        if not hive.found.joined:
            return False
        raw = await hive.host.read(hive.found.layout.home / "config" / "identity" / "roots.pem")
        # Late: a queen on loopback loads none of this.
        from rbee.trust.certificates import fingerprint as of
        from rbee.trust.certificates import read_certificates

        try:
            roots = [] if raw is None else read_certificates(raw, "roots.pem")
        except RbeeError:
            return False
        return fingerprint in {of(root) for root in roots}
