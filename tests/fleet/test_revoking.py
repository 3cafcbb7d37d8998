"""A machine is invited, joins over TLS, is shown, and is put out of the colony again: real programs."""

import json
import shlex
import stat
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fleet.conftest import one_line
from fleet.terminal import Terminal
from rbee.testing.colony import Home, eventually
from rbee.testing.networks import network, why_not
from rbee.testing.programs import Machine, Program
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role

ELSEWHERE = "127.0.0.2"
"""Where the queen listens too, when she listens everywhere: over TLS, as on all addresses but 127.0.0.1."""
LIFETIME = timedelta(days=1)


class Queen(Machine):
    """A queen who listens everywhere."""

    def __init__(self, folder, **settings):
        super().__init__(
            "queen", folder, "t" * 40, {"server.host": "0.0.0.0", "server.allowed_hosts": ELSEWHERE, **settings}
        )  # that it does
        self.prepare()
        self.program = None
        self.port = 0

    def up(self):
        self.program = self.start("queen", "start", "--json")
        line = eventually(lambda: "\n" in self.program.stdout and self.program.stdout.partition("\n")[0], 60)
        self.port = int(json.loads(line)["url"].rpartition(":")[2])
        self.settings["queen.port"] = str(self.port)
        return self

    def down(self):
        if self.program is not None:
            self.program.process.terminate()
            self.program.wait()
        self.clean_up()

    def asked(self, *args):
        done = self.cli(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def invited(self, *args):
        """The words of the command that is printed, with an address of this machine alone."""
        done = self.cli("hive", "invite", *args)
        assert done.returncode == 0, done.stderr
        words = shlex.split(done.stdout)
        assert words[:3] == ["rbee", "hive", "join"]
        return [*words[1:3], f"https://{ELSEWHERE}:{self.port}", *words[4:]]

    def states(self):
        """Whether the newest certificate of each program was revoked."""
        shown = self.asked("ca", "show")["certificates"]
        return {(one["role"], one["id"]): one["revoked_at"] is not None for one in shown}


@pytest.fixture
def queen(tmp_path):
    made = Queen(tmp_path / "queen")
    try:
        yield made.up()
    finally:
        made.down()


@pytest.fixture
def laptop(tmp_path):
    """Another machine's home."""
    return Home(tmp_path / "laptop", {"hive.id": "laptop"})


def renewed(queen, identity):
    """What the queen answers who shows a certificate and wants another one."""
    with httpx2.Client(verify=identity.client_context(), trust_env=False, timeout=20) as client:
        return client.post(
            f"https://{ELSEWHERE}:{queen.port}/v1/ca/renew",
            json={"csr": identity.ask()[1].decode()},
            extensions={"sni_hostname": "queen.rbee.internal"},
        )


def test_a_machine_joins_once_is_shown_and_is_put_out(queen, laptop):
    words = queen.invited("--name", "laptop", "--minutes", "5")
    wrong = [*words[:-3], "SHA256:" + "A" * 43, *words[-2:]]
    refused = laptop.cli(*wrong)
    assert refused.returncode == 1
    assert "Nothing was sent" in one_line(refused.stderr)
    joined = laptop.cli(*words, "--json")
    assert joined.returncode == 0, joined.stderr
    assert json.loads(joined.stdout)["hive_id"] == "laptop"
    folder = laptop.home / "config" / "identity"
    assert stat.S_IMODE((folder / "identity.pem").stat().st_mode) == 0o600
    again = laptop.cli(*words, "--force")
    assert (again.returncode, "rbee hive invite" in one_line(again.stderr)) == (1, True)
    assert queen.states() == {("hive", "laptop"): False, ("queen", "queen"): False}
    table = queen.cli("ca", "show").stdout
    assert "laptop" in table
    assert queen.asked("ca", "show")["fingerprint"] in table

    assert renewed(queen, Identity(folder)).status_code == 200
    without = queen.cli("ca", "revoke", "hive", "laptop")
    assert (without.returncode, "--yes" in one_line(without.stderr)) == (1, True)
    done = queen.asked("ca", "revoke", "hive", "laptop", "--yes", "--reason", "sold")
    assert done == {"role": "hive", "id": "laptop", "certificates": 2}
    assert queen.states()["hive", "laptop"] is True
    assert "sold" in queen.cli("ca", "show").stdout
    with pytest.raises(httpx2.TransportError):
        renewed(queen, Identity(folder))
    unknown = queen.cli("ca", "revoke", "hive", "cellar", "--yes")
    assert (unknown.returncode, "'cellar'" in one_line(unknown.stderr)) == (1, True)


def test_an_open_connection_is_served_no_more_once_its_certificate_is_revoked(queen, laptop):
    assert laptop.cli(*queen.invited("--name", "laptop")).returncode == 0
    identity = Identity(laptop.home / "config" / "identity")
    with httpx2.Client(verify=identity.client_context(), trust_env=False, timeout=20) as client:
        ask = {
            "url": f"https://{ELSEWHERE}:{queen.port}/v1/info",
            "extensions": {"sni_hostname": "queen.rbee.internal"},
        }
        assert client.get(**ask).status_code == 200
        queen.asked("ca", "revoke", "hive", "laptop", "--yes")
        ask["extensions"] = {"sni_hostname": "queen.rbee.internal"}
        answer = client.get(**ask)
        assert (answer.status_code, "revoked" in answer.text) == (403, True)


def test_the_roots_are_for_everybody_and_what_was_signed_is_not(queen, tmp_path):
    url = f"https://{ELSEWHERE}:{queen.port}"
    file = tmp_path / "colony.pem"
    assert queen.cli("ca", "export", str(file)).returncode == 0
    trusting = Identity(tmp_path / "browser", shows=False)
    trusting.trust(file.read_bytes())
    with httpx2.Client(verify=trusting.client_context(), trust_env=False, timeout=20) as client:
        # By its address, as browsers and SDKs do.
        assert client.get(f"{url}/v1/ca/roots").text == file.read_text("ascii")
        assert client.get(f"{url}/v1/ca").json()["fingerprint"].startswith("SHA256:")
        for path in ("issued", "waiting"):
            assert client.get(f"{url}/v1/ca/{path}").status_code == 401
        for path, body in (("revoke", {"role": "hive", "id": "x"}), ("rotate", {}), ("invite", {}), ("approve", {})):
            assert client.post(f"{url}/v1/ca/{path}", json=body).status_code == 401
        guess = {"token": "x", "hive_id": "laptop", "csr": trusting.ask()[1].decode()}
        told = [client.post(f"{url}/v1/ca/enrol", json=guess).status_code for _ in range(21)]
        assert told == [401] * 20 + [429]


def test_a_person_is_asked_before_something_is_taken_back(queen, laptop):
    assert laptop.cli(*queen.invited("--name", "laptop")).returncode == 0
    for answer, revoked in (("n", False), ("y", True)):
        terminal = Terminal(queen, "ca", "revoke", "hive", "laptop")
        try:
            terminal.expect("comes back by a new invitation alone")
            terminal.expect("Go on?")
            terminal.type(answer + "\n")
            terminal.expect("1 certificate holds no more" if revoked else "Nothing was done")
        finally:
            terminal.close()
        assert queen.states()["hive", "laptop"] is revoked


def test_a_new_key_is_trusted_beside_the_old_one(queen):
    before = queen.asked("ca", "show")
    new = queen.asked("ca", "rotate", "--yes")
    after = queen.asked("ca", "show")
    assert new["fingerprint"] != before["fingerprint"]
    assert (after["fingerprint"], after["colony"]) == (before["fingerprint"], before["colony"])
    assert after["roots"].count("BEGIN CERTIFICATE") == 2


def test_a_key_that_was_given_up_lets_nobody_in_until_he_joins_again(queen, laptop):
    assert laptop.cli(*queen.invited("--name", "laptop")).returncode == 0
    identity = Identity(laptop.home / "config" / "identity")
    assert renewed(queen, identity).status_code == 200
    asked = queen.cli("ca", "rotate", "--at-once")
    assert (asked.returncode, "--yes" in one_line(asked.stderr)) == (1, True)
    new = queen.asked("ca", "rotate", "--at-once", "--yes")
    assert queen.asked("ca", "show")["certificates"] == []
    queen.program.process.terminate()
    queen.program.wait()
    queen.up()
    shown = queen.asked("ca", "show")
    assert (shown["fingerprint"], shown["roots"].count("BEGIN CERTIFICATE")) == (new["fingerprint"], 1)
    with pytest.raises(httpx2.TransportError):
        renewed(queen, identity)
    assert laptop.cli(*queen.invited("--name", "laptop"), "--force").returncode == 0
    assert renewed(queen, Identity(identity.folder)).status_code == 200


def test_a_machine_waits_until_it_is_approved(tmp_path, laptop):
    queen = Queen(tmp_path / "queen", **{"security.approve_hives": "true"})
    try:
        queen.up()
        with laptop.start(*queen.invited(), "--json") as joining:
            eventually(lambda: "rbee hive approve laptop --key" in joining.stderr, 60)
            (waiting,) = queen.asked("hive", "approve")["waiting"]
            assert waiting["name"] == "laptop"
            assert waiting["key"] in joining.stderr
            assert waiting["key"] in queen.cli("hive", "approve").stdout
            assert queen.asked("hive", "approve", "laptop")["approved"] is True
            assert joining.wait() == 0, joining.stderr
        assert queen.states()["hive", "laptop"] is False
        assert "No machine waits" in queen.cli("hive", "approve").stderr
    finally:
        queen.down()


class Site:
    """A queen and two hives that were invited, each machine in a network of its own."""

    def __init__(self, net, folder):
        ports = {"queen.port": "7833", "hive.port": "7835"}
        self.machines = {}
        for name in ("queen", "attic", "cellar"):
            net.join(name)
            where = (net.address(name), net.prefix(name))
            self.machines[name] = Machine(name, folder / name, name * 8, ports, *where)
        self.first = self.machines["queen"].prepare()
        self.queen = Program("queen", self.first, 7833)
        self.hives = {name: Program("hive", self.machines[name], 7835) for name in ("attic", "cellar")}

    def start(self):
        self.queen.start()
        for name, hive in self.hives.items():
            invited = shlex.split(self.first.cli("hive", "invite", "--name", name).stdout)
            joined = self.machines[name].cli(*invited[1:])
            assert joined.returncode == 0, joined.stderr
            hive.start()

    def identity(self, name):
        return Identity(self.machines[name].home / "config" / "identity")

    def present(self):
        """Hives that are online, as the queen says who is asked over TLS, by her address."""
        trusting = Identity(self.first.home / "config" / "identity" / "queen", shows=False)
        with httpx2.Client(verify=trusting.client_context(), trust_env=False, timeout=20) as client:
            told = client.get(f"{self.queen.url}/v1/info", headers={"authorization": f"Bearer {self.first.token}"})
        return {one["hive_id"] for one in told.json()["hives"] if one["online"]}

    def let_end(self, name):
        """The machine has been away for longer than its certificate holds."""
        late = datetime.now(UTC) - 2 * LIFETIME
        authority = Authority(self.first.home / "config" / "ca", lambda: late)
        identity = self.identity(name)
        key, request = identity.ask()
        identity.take(key, authority.issue(request, Role.HIVE, name, (), LIFETIME).certificate, authority.roots_pem())
        assert identity.expires_at < datetime.now(UTC)

    def said(self):
        return "\n".join(program.said() for program in (self.queen, *self.hives.values()))

    def close(self):
        for program in (*self.hives.values(), self.queen):
            program.stop()
        for machine in self.machines.values():
            machine.clean_up()


@pytest.fixture
def site(tmp_path):
    if (why := why_not()) is not None:
        pytest.skip(why)
    with network() as net:
        made = Site(net, tmp_path)
        try:
            made.start()
            eventually(lambda: made.present() == {"attic", "cellar"}, 30, every=0.5)
            yield made
        except AssertionError as error:
            raise AssertionError(f"{error}\n{made.said()}") from error
        finally:
            made.close()


def test_a_hive_that_was_away_renews_what_has_ended_and_one_that_was_revoked_is_gone_for_all(site):
    attic = site.hives["attic"]
    attic.stop()
    site.let_end("attic")
    attic.start()
    eventually(lambda: site.identity("attic").expires_at > datetime.now(UTC), 30)
    eventually(lambda: "attic" in site.present(), 30, every=0.5)

    serial = site.identity("attic").peer.serial
    revoked = site.first.cli("ca", "revoke", "hive", "attic", "--yes")
    assert revoked.returncode == 0, revoked.stderr
    assert "attic" not in site.present()
    # It tries to come back, and is not let in; the others hear of it without asking.
    eventually(lambda: "was revoked" in attic.said(), 30)
    eventually(lambda: serial in site.identity("cellar").revoked, 15)
    assert site.present() == {"cellar"}

    # Nor by a queen who was started anew; a new invitation lets it in.
    site.queen.stop()
    attic.stop()
    site.queen.start()
    attic.start()
    eventually(lambda: site.present() == {"cellar"}, 30, every=0.5)
    assert "attic" not in site.present()
    again = shlex.split(site.first.cli("hive", "invite", "--name", "attic").stdout)
    attic.stop()
    assert site.machines["attic"].cli(*again[1:], "--force").returncode == 0
    attic.start()
    eventually(lambda: site.present() == {"attic", "cellar"}, 30, every=0.5)
