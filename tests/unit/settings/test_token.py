"""The colony's token."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError
from rbee.settings.token import load_token

GOOD = "0123456789abcdefXYZ"


def test_the_first_start_makes_a_token_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config" / "token"
    token = load_token(path, {}, create=True)
    assert token is not None
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["token"]


def test_the_second_start_reads_the_same_token(tmp_path: Path) -> None:
    first = load_token(tmp_path / "token", {}, create=True)
    assert load_token(tmp_path / "token", {}, create=True) == first
    assert load_token(tmp_path / "token", {}) == first


def test_two_colonies_do_not_share_a_token(tmp_path: Path) -> None:
    assert load_token(tmp_path / "a", {}, create=True) != load_token(tmp_path / "b", {}, create=True)


def test_without_a_file_there_is_none_unless_asked_for(tmp_path: Path) -> None:
    assert load_token(tmp_path / "token", {}) is None
    assert list(tmp_path.iterdir()) == []


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    load_token(tmp_path / "token", {}, create=True)
    assert load_token(tmp_path / "token", {"RBEE_TOKEN": f" {GOOD}\n"}) == GOOD


def test_racing_threads_all_get_the_one_token(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def start() -> str | None:
        barrier.wait()
        return load_token(tmp_path / "token", {}, create=True)

    with ThreadPoolExecutor(8) as threads:
        tokens = {future.result() for future in [threads.submit(start) for _ in range(8)]}
    assert tokens == {(tmp_path / "token").read_text(encoding="ascii").strip()}
    assert [file.name for file in tmp_path.iterdir()] == ["token"]


def test_racing_processes_all_get_the_one_token(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from rbee.settings.token import load_token; sys.stdin.readline();"
        "print(load_token(pathlib.Path(sys.argv[1]), {}, create=True))"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "token")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for start in starts:
        start.stdin.write("go\n")
        start.stdin.flush()
    tokens = {start.communicate(timeout=30)[0].strip() for start in starts}
    assert tokens == {(tmp_path / "token").read_text(encoding="ascii").strip()}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_reach_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(GOOD, encoding="ascii")
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 '{path}'") as caught:
        load_token(path, {}, create=True)
    assert GOOD not in caught.value.message


@pytest.mark.parametrize(
    "content", ["", "short", "spaces in the middle of it", "käse-käse-käse-käse", "tab\tin-the-middle-of"]
)
def test_a_token_that_cannot_be_sent_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=str(path)):
        load_token(path, {}, create=True)
    assert path.read_text(encoding="utf-8") == content


def test_a_bad_token_of_the_environment_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError, match="RBEE_TOKEN") as caught:
        load_token(Path("/nowhere/token"), {"RBEE_TOKEN": "s3cret"})
    assert "s3cret" not in caught.value.message


def test_a_token_that_cannot_be_made_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("in the way", encoding="ascii")
    with pytest.raises(ConfigurationError, match=str(tmp_path / "config" / "token")):
        load_token(tmp_path / "config" / "token", {}, create=True)


def test_a_folder_in_place_of_the_token_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(ConfigurationError, match=str(tmp_path / "token")):
        load_token(tmp_path / "token", {}, create=True)
