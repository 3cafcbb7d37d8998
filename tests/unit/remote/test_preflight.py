from __future__ import annotations

import asyncio
import platform
import socket

import pytest
from rbee.contract.errors import UnavailableError
from rbee.remote.preflight import Gpu, Python, look, parsed
from rbee.remote.ssh_host import SshHost
from rbee.testing.programs import LOOPBACK
from rbee.testing.sshd import Sshd

MAC = """time\t1700000000
system\tDarwin
arch\tarm64
user\tbee
release\tmacOS 14.1
python\t3.9.6 /usr/bin/python3
disk_kib\t1000
memory_bytes\t34359738368
apple\tApple M2 Max
init\tlaunchd
port_taken\tno
done\tyes
"""


async def test_a_machine_is_looked_at_as_it_is(host: SshHost, sshd: Sshd) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = await look(
            host,
            port=port,
            queen_url=f"http://{LOOPBACK}:{sshd.port}",
            index_url="http://127.0.0.1:1",
            address=LOOPBACK,
        )

    assert found.system == platform.system()
    assert found.arch == platform.machine()
    assert found.home == str(sshd.home)
    assert any(one.version == platform.python_version() for one in found.pythons) or found.pythons
    assert found.disk_bytes is not None
    assert found.disk_bytes > 0
    assert found.memory_bytes is not None
    assert found.port_taken is True
    assert found.answers == "open"
    assert found.reaches_queen is True
    assert found.reaches_index is False
    assert found.clock_s is not None
    assert found.clock_error_s is not None
    assert abs(found.clock_s) <= found.clock_error_s + 1


async def test_a_port_that_is_free_is_refused_and_free(host: SshHost) -> None:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    found = await look(host, port=port, address=LOOPBACK)

    assert found.port_taken is False
    assert found.answers == "refused"
    assert found.reaches_queen is None
    assert found.reaches_index is None


def test_a_mac_is_read_too() -> None:
    found = parsed(MAC, 7835)

    assert found is not None
    assert found.pythons == (Python("3.9.6", "/usr/bin/python3"),)
    assert found.gpus == (Gpu(kind="apple", name="Apple M2 Max"),)
    assert found.memory_bytes == 32 * 1024**3
    assert (found.init, found.linger, found.libc, found.uv) == ("launchd", None, None, None)


def test_devices_of_one_kind_are_all_told() -> None:
    found = parsed(
        "system\tLinux\narch\tx86_64\nnvidia\tNVIDIA GeForce RTX 4090, 550.54, 24564\nnvidia\tA, [N/A], [N/A]\n"
        "card\t0x10de\ncard\t0x10de\nuv\t0.9.1 /usr/bin/uv\nlinger\tyes\nport_taken\t\ndone\tyes\n",
        1,
    )

    assert found is not None
    assert found.gpus[0] == Gpu(
        kind="nvidia", name="NVIDIA GeForce RTX 4090", driver="550.54", memory_bytes=24564 * 1024**2
    )
    assert found.gpus[1].memory_bytes is None
    assert (found.cards, found.uv, found.linger, found.port_taken) == (("0x10de",), "0.9.1", True, None)


@pytest.mark.parametrize("text", ["", "system\tLinux\narch\tx86_64\n", "done\tyes\n", "Microsoft Windows"])
def test_what_is_not_whole_is_nothing(text: str) -> None:
    assert parsed(text, 1) is None


async def test_a_machine_without_a_shell_says_so(host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*_: object, **__: object) -> object:
        await asyncio.sleep(0)
        return await SshHost.run(host, ["false"])

    monkeypatch.setattr(host, "run", none)
    with pytest.raises(UnavailableError, match=r"'there', looking at the machine: .*no POSIX shell"):
        await look(host, port=1)
