from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from rbee.remote.connecting import connect
from rbee.remote.ssh_host import SshHost
from rbee.testing.sshd import Sshd, running_sshd, why_no_sshd


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if (why := why_no_sshd()) is not None:
        pytest.skip(why)
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
async def host(sshd: Sshd) -> AsyncIterator[SshHost]:
    host = await connect(sshd.target())
    yield host
    await host.close()
