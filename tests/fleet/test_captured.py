"""Nobody on the wire between two machines reads what is asked and answered there."""

import shlex
import subprocess
import sys

import pytest
from rbee.testing.captures import Capture
from rbee.testing.colony import eventually
from rbee.testing.networks import Network, why_not

ASKED, TOLD = "xylophone-quagmire-7319", "secret-of-the-house-4402"
# Sends its second argument to whoever connects, and says its port.
_PLAIN_SERVER = (
    "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True); "
    "c, _ = s.accept(); c.sendall(sys.argv[2].encode()); c.close()"
)
_PLAIN_CLIENT = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).recv(99))"


@pytest.fixture
def network():
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    found = Network()
    try:
        found.open()
        for name in ("first", "attic"):
            found.join(name)
        yield found
    finally:
        found.close()


def test_neither_prompt_nor_answer_nor_token_goes_between_machines_in_clear_text(network, make_site):
    site = make_site({}, address=network.address("first"), prefix=network.prefix("first"))
    with Capture(network.cable("attic")) as wire:
        site.queen.start()
        attic = site.machine("attic", network.address("attic"), network.prefix("attic"), joined=False)
        invited = site.machines["first"].cli("hive", "invite", "--name", "attic")
        joined = attic.cli(*shlex.split(invited.stdout)[1:])
        assert joined.returncode == 0, invited.stderr + joined.stderr
        site.program("hive", attic).start()
        eventually(lambda: "attic" in site.hives(), 30)
        last = site.run_job("worker_spawn", hive_id="attic", model="echo", worker_id="w")
        assert last["type"] == "done", last
        messages = [{"role": "system", "content": TOLD}, {"role": "user", "content": f"{ASKED} " * 20}]
        answers = [
            site.http.post(
                f"{site.queen_url}/v1/chat/completions",
                json={"model": "echo", "messages": messages, "stream": stream},
            ).text
            for stream in (False, True)
        ]
        assert all("quagmire" in answer for answer in answers), "the worker on the other machine has read it"
        read = wire.size
        assert read > 20_000
        # That the capture would have seen it: the same words, over the same cable, as they are.
        server = [*network.prefix("attic"), sys.executable, "-c", _PLAIN_SERVER, network.address("attic"), ASKED]
        with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
            assert not wire.holds(ASKED)
            port = process.stdout.readline().strip()
            client = [*network.prefix("first"), sys.executable, "-c", _PLAIN_CLIENT, network.address("attic"), port]
            assert ASKED in subprocess.run(client, capture_output=True, text=True, check=True).stdout
        eventually(lambda: wire.holds(ASKED), 5)
        for hidden in ("quagmire ", TOLD, site.token, "chat/completions", "authorization", "worker_spawn"):
            assert not wire.holds(hidden), hidden
