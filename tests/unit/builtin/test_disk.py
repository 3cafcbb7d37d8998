"""Room for models."""

from types import SimpleNamespace

import pytest
from rbee.builtin.disk import check_disk


@pytest.mark.parametrize(("free", "status"), [(20e9, "ok"), (5e9, "warn"), (0.5e9, "fail")])
def test_little_room_warns_before_none_fails(tmp_path, monkeypatch, free, status):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    found = check_disk(tmp_path)
    assert found.status == status
    assert (found.remedy is None) == (status == "ok")


def test_a_folder_that_is_not_made_yet_is_on_the_disk_of_the_one_above(tmp_path):
    found = check_disk(tmp_path / "not" / "yet")
    assert str(tmp_path / "not" / "yet") in found.detail


def test_a_folder_that_cannot_be_looked_at_is_told(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(13, "Permission denied")

    monkeypatch.setattr("shutil.disk_usage", refuse)
    assert check_disk(tmp_path).detail == f"'{tmp_path}': Permission denied"
