"""Reading a hives.conf."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.beehives import BeehiveChanges, Imported, read_hives_conf
from rbee.contract.errors import ConfigurationError


def read(folder: Path, text: str) -> Imported:
    (folder / "hives.conf").write_text(text)
    return read_hives_conf(folder / "hives.conf", home=Path("/home/bee"))


def test_machines_with_what_only_hives_have(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "# ours\nHost gpu1\n  HostName 10.0.0.7\n  Port 2222\n  User bee\n  IdentityFile ~/.ssh/k\n"
        "  HivePort 7900\n  InstallPath '/opt/my rbee'\n\nhost=gpu2\n  binarypath = /usr/local/bin/rbee\n",
    )
    assert found.beehives == (
        BeehiveChanges(
            node_name="gpu1",
            ssh_host="10.0.0.7",
            ssh_port=2222,
            ssh_user="bee",
            ssh_key_path="/home/bee/.ssh/k",
            hive_port=7900,
            install_path="/opt/my rbee",
        ),
        BeehiveChanges(node_name="gpu2", ssh_host="gpu2", install_path="/usr/local/bin/rbee"),
    )


def test_values_for_several_stand_in_a_block_with_wildcards(tmp_path: Path) -> None:
    found = read(tmp_path, "Host a\n User x\nHost b\nHost *\n User y\n")
    assert [(one.node_name, one.ssh_user) for one in found.beehives] == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Host a\n  HivePrt 1\n", "line 2: 'hiveprt' is no keyword here; those are Host, HostName"),
        ("Host a\n  HivePort 70000\n", "line 2: 'hiveport' is '70000' and must be a port, 1 to 65535"),
        ("Host never*\n  Port x\n", "line 2: 'port' is 'x'"),
        ("Host a\nHost b a\n", "line 2: 'a' stands already in line 1"),
        ("Host a\n User b c\n", "line 2: 'user' needs one value; put it in quotes"),
        ("Host a\n User\n", "line 2: 'user' needs one value"),
        ("Host\n", "line 1: 'Host' needs at least one name"),
        ("Host a\n User '-x'\n", "line 1: Beehive 'a': ssh_user '-x' will not do"),
        ("Host a/b\n", "line 1: Beehive 'a/b': node_name"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_taken(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"'{tmp_path}/hives.conf', line ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"hives.conf' cannot be read: No such file"):
        read_hives_conf(tmp_path / "hives.conf", home=tmp_path)
