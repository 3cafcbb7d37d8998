"""Reading SSH configurations, held against ssh itself."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rbee.beehives import BeehiveChanges, Imported, read_ssh_config
from rbee.contract.errors import ConfigurationError, NotFoundError

SSH = shutil.which("ssh")
HOME = Path("/home/bee")
needs_ssh = pytest.mark.skipif(SSH is None, reason="the ssh program is not installed")


def read(folder: Path, text: str, name: str = "config") -> Imported:
    (folder / name).write_bytes(text.encode())
    return read_ssh_config(folder / name, home=HOME, local_user="me")


def only(folder: Path, text: str) -> BeehiveChanges:
    (found,) = read(folder, text).beehives
    return found


def test_a_host_gets_its_values(tmp_path: Path) -> None:
    found = only(
        tmp_path,
        "# machines\r\nHost gpu1\r\n\tHostName = 10.0.0.7 # the old one\r\n  PORT=2222\r\nuser bee\r\n"
        '  IdentityFile "~/.ssh/my key"\r\n  ProxyJump gate:22\r\n',
    )
    assert found == BeehiveChanges(
        node_name="gpu1",
        ssh_host="10.0.0.7",
        ssh_port=2222,
        ssh_user="bee",
        ssh_key_path="/home/bee/.ssh/my key",
        ssh_alias="gpu1",
        ssh_jump="gate:22",
    )


def test_wildcards_hand_down_values_and_are_no_machines(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "Host web-1 web-2 web-3\nHost web-? !web-3\n  User web\nHost *-1\n  User one\n  Port 1\nHost *\n  Port 99\n",
    )
    assert [(one.node_name, one.said().get("ssh_user"), one.ssh_port) for one in found.beehives] == [
        ("web-1", "web", 1),
        ("web-2", "web", 99),
        ("web-3", None, 99),
    ]


def test_tokens_stand_for_host_user_and_home(tmp_path: Path) -> None:
    found = only(tmp_path, "Host a\n HostName %h.lan\n User u\n IdentityFile %d/k/%h_%r_%n_%p%%\n")
    assert (found.ssh_host, found.ssh_key_path) == ("a.lan", "/home/bee/k/a.lan_u_a_22%")
    assert only(tmp_path, "Host a\n IdentityFile ~/%r_%u\n").ssh_key_path == "/home/bee/me_me"


def test_a_key_that_only_a_connection_knows_is_left_out_with_a_note(tmp_path: Path) -> None:
    for text in ("%C", "${KEYS}/k", "%"):
        found = read(tmp_path, f"Host a\n IdentityFile {text}\n")
        assert "ssh_key_path" not in found.beehives[0].said()
        assert "IdentityFile" in found.notes[0]


def test_files_are_included_where_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.conf").write_text("Host one\n User first\nHost *\n Port 7\n")
    (tmp_path / "d" / "2.conf").write_text("Host two\n")
    found = read(tmp_path, f"Include {tmp_path}/d/*.conf {tmp_path}/nothing\nUser rest\nHost three\n")
    assert [(one.node_name, one.ssh_user, one.ssh_port) for one in found.beehives] == [
        ("one", "first", 7),
        ("two", "rest", 7),
        ("three", "rest", 7),
    ]


def test_a_file_included_in_a_block_holds_for_that_block(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("User inner\nHost b\n Port 5\n")
    found = read(tmp_path, f"Host a\n Include {tmp_path}/more\n Port 9\nHost b\n")
    assert [(one.node_name, one.said().get("ssh_user"), one.said().get("ssh_port")) for one in found.beehives] == [
        ("a", "inner", 9),
        ("b", None, None),
    ]


def test_relative_includes_are_below_the_ssh_folder_of_the_home(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "more").write_text("Host inner\n")
    (tmp_path / ".ssh" / "config").write_text("Include more\nInclude ~/.ssh/more\n")
    found = read_ssh_config(tmp_path / ".ssh" / "config", home=tmp_path, local_user="me")
    assert [one.node_name for one in found.beehives] == ["inner"]


def test_files_that_include_each_other_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="include each other more than 16 times"):
        read(tmp_path, f"Include {tmp_path}/config\n")


def test_match_blocks_are_left_out_with_a_note_but_for_all(tmp_path: Path) -> None:
    found = read(tmp_path, "Host a\nMatch host a exec x\n User no\nMatch all\n User yes\n")
    assert found.beehives[0].ssh_user == "yes"
    (note,) = found.notes
    assert note.startswith(f"'{tmp_path}/config', line 2: the block 'Match host a exec x' was left out: ")


def test_a_name_that_is_no_node_name_is_left_out_with_a_note(tmp_path: Path) -> None:
    found = read(tmp_path, 'Host "a b" ok\n')
    assert [one.node_name for one in found.beehives] == ["ok"]
    assert "line 1: left out: Beehive 'a b'" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Host a\n  Port many\n", "line 2: 'port' is 'many' and must be a port"),
        ("Host a\n\nPort 0\n", "line 3: 'port' is '0'"),
        ("Host a\nPort ٣\n", "line 2: 'port'"),
        ("Host\n", "line 1: 'Host' needs at least one name"),
        ("Host a\nUser\n", "line 2: 'user' needs a value"),
        ("Host a\nUser 'b\n", r"line 2: a quote \('\) is not closed"),
        ("Host a\nHostName %q\n", "line 2: 'hostname' holds '%q'"),
        ('"Host a\n', "line 1: '\"Host a' does not begin with a keyword"),
        ("Match\n", "line 1: 'Match' needs a condition"),
        ("Host a\n\0\n", "no text file"),
    ],
)
def test_a_malformed_file_is_an_error_with_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "config") in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"config' cannot be read: No such file"):
        read_ssh_config(tmp_path / "config", home=HOME, local_user="me")


def test_names_are_chosen_by_patterns(tmp_path: Path) -> None:
    found = read(tmp_path, "Host a1 a2 b1\n")
    assert [one.node_name for one in found.matching(["a*", "b1"]).beehives] == ["a1", "a2", "b1"]
    assert [one.node_name for one in found.matching(["?2"]).beehives] == ["a2"]
    with pytest.raises(NotFoundError, match=r"No machine of the file is called 'c'\. There: a1, a2, b1"):
        found.matching(["a1", "c"])


NAMES = ("a", "b", "ab", "ba")
PATTERNS = st.sampled_from([*NAMES, "*", "a*", "?", "*b", "!a", "!*b", "!b"])
LINES = st.one_of(
    st.tuples(st.just("HostName"), st.sampled_from(["x.lan", "%h.lan", "10.0.0.1", '"q.lan"'])),
    st.tuples(st.just("user"), st.sampled_from(["u", "'v'", '"w"', "x # comment", "y#z", r"\\u"])),
    st.tuples(st.just("PORT"), st.sampled_from(["1", "22", "65535"])),
    st.tuples(st.just("IdentityFile"), st.sampled_from(["/k/one", '"/k/two words"', "'/k/3'", r"/k/four\ five"])),
    st.tuples(st.just("Match"), st.just("all")),
    st.tuples(st.just("Host"), st.lists(PATTERNS, min_size=1, max_size=3).map(" ".join)),
    st.tuples(st.just("Include"), st.sampled_from(["{folder}/i1", "{folder}/i*", "{folder}/none"])),
)
GAPS = st.sampled_from([" ", "\t", "=", " = ", "  =", "= "])
FILES = st.lists(st.tuples(st.sampled_from(["", "  ", "\t"]), LINES, GAPS), max_size=10)


def written(lines: list[tuple[str, tuple[str, str], str]], folder: str, *, include: bool) -> str:
    return "".join(
        f"{indent}{keyword}{gap}{value}\n".replace("{folder}", folder)
        for indent, (keyword, value), gap in lines
        if include or keyword != "Include"
    )


@needs_ssh
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES, FILES, FILES)
def test_values_are_those_that_ssh_would_take(
    main: list[tuple[str, tuple[str, str], str]],
    one: list[tuple[str, tuple[str, str], str]],
    two: list[tuple[str, tuple[str, str], str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "i1").write_text(written(one, folder, include=False))
        (place / "i2").write_text(written(two, folder, include=False))
        # Every name stands by itself, so that all of them are machines.
        (place / "config").write_text(f"{written(main, folder, include=True)}\nHost {' '.join(NAMES)}\n")
        found = read_ssh_config(place / "config", home=Path.home(), local_user=getpass.getuser())
        assert sorted(one.node_name for one in found.beehives) == sorted(NAMES)
        for ours in found.beehives:
            told = subprocess.run(
                [str(SSH), "-G", "-F", str(place / "config"), ours.node_name],
                capture_output=True, text=True, check=True, timeout=30, stdin=subprocess.DEVNULL,
            ).stdout  # fmt: skip
            theirs: dict[str, str] = {}
            for line in told.splitlines():
                key, _, value = line.partition(" ")
                theirs.setdefault(key, value)
            said = ours.said()
            assert said["ssh_host"] == theirs["hostname"]
            assert said.get("ssh_user", getpass.getuser()) == theirs["user"]
            assert str(said.get("ssh_port", 22)) == theirs["port"]
            if "ssh_key_path" in said:
                assert said["ssh_key_path"] == theirs["identityfile"]
            else:
                assert theirs.get("identityfile", "~/").startswith("~/")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("Host usrPt*?!#'\"\\=% \t\r\n1a\0é")))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        refused = ""
        try:
            read(Path(folder), text)
        except ConfigurationError as error:
            refused = str(error)
        assert not refused or (folder in refused and refused.endswith("."))
