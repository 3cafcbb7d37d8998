from __future__ import annotations

from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError
from rbee.trust.revoked import RevokedSerials, tell_revoked

LARGE = 2**159 + 5


def folder_of(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "roots.pem").touch()
    return path


def test_what_is_told_to_a_folder_is_known_to_all_who_share_it(tmp_path: Path) -> None:
    one, two = RevokedSerials(tmp_path), RevokedSerials(tmp_path)
    assert two.get() == frozenset()
    one.put(frozenset({1, LARGE}))
    assert two.get() == {1, LARGE}
    one.put(frozenset())
    assert two.get() == frozenset()


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    made = RevokedSerials(tmp_path)
    made.put(frozenset({1}))
    before = (tmp_path / "revoked.json").stat().st_ino
    made.put(frozenset({1}))
    assert (tmp_path / "revoked.json").stat().st_ino == before


def test_all_programs_of_a_home_are_told_and_nothing_else(tmp_path: Path) -> None:
    home = folder_of(tmp_path / "identity")
    queen = folder_of(home / "queen")
    (home / "other").mkdir()
    tell_revoked(home, [7])
    assert RevokedSerials(home).get() == RevokedSerials(queen).get() == {7}
    assert not list((home / "other").iterdir())
    tell_revoked(tmp_path / "nowhere", [7])


@pytest.mark.parametrize("content", [b"nonsense", b"[1]", b'["xyz"]'])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    made = RevokedSerials(tmp_path)
    made.put(frozenset({1}))
    (tmp_path / "revoked.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"revoked\.json.*Remove it"):
        made.get()
