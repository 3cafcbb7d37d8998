"""Settings from their sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError
from rbee.settings.load import Loaded, known_settings, load_settings, variable_of


def load(
    tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, line: dict[str, str] | None = None
) -> Loaded:
    file = tmp_path / "config.toml"
    if text:
        file.write_text(text, encoding="utf-8")
    return load_settings(file, environ or {}, line)


FILE, ENVIRON, LINE = "[queen]\nport = 1001\n", {"RBEE_QUEEN_PORT": "1002"}, {"queen.port": "1003"}


@pytest.mark.parametrize(
    ("text", "environ", "line", "port", "source"),
    [
        ("", {}, {}, 7833, "default"),
        (FILE, {}, {}, 1001, "config.toml"),
        (FILE, ENVIRON, {}, 1002, "RBEE_QUEEN_PORT"),
        (FILE, ENVIRON, LINE, 1003, "command line"),
        ("", ENVIRON, LINE, 1003, "command line"),
        (FILE, {}, LINE, 1003, "command line"),
    ],
)
def test_the_nearer_source_wins_and_is_named(
    tmp_path: Path, text: str, environ: dict[str, str], line: dict[str, str], port: int, source: str
) -> None:
    loaded = load(tmp_path, text, environ, line)
    assert loaded.settings.queen.port == port
    described = next(one for one in loaded.describe() if one.name == "queen.port")
    assert source in described.source
    assert (described.value, described.default, described.variable) == (port, 7833, "RBEE_QUEEN_PORT")


def test_sources_do_not_hide_each_others_other_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, "[queen]\nmax_waiting = 3\n", ENVIRON, {"queen.policy": "other"}).settings
    assert (settings.queen.max_waiting, settings.queen.port, settings.queen.policy) == (3, 1002, "other")


def test_every_setting_has_a_description_and_a_variable_of_its_own() -> None:
    known = known_settings()
    assert [name for name, (_, description) in known.items() if not description] == []
    assert len({variable_of(name) for name in known}) == len(known)


@pytest.mark.parametrize(
    ("text", "line"), [("[queen]\nprot = 1\n", {}), ("", {"queen.prot": "1"})], ids=["file", "line"]
)
def test_an_unknown_name_suggests_the_nearest(tmp_path: Path, text: str, line: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"queen\.prot.*Did you mean 'queen\.port'\?"):
        load(tmp_path, text, line=line)


def test_a_name_like_no_other_points_to_the_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="config show"):
        load(tmp_path, line={"zzzzzzzz": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queen.port", "65536"),
        ("queen.port", "-1"),
        ("queen.port", "many"),
        ("queen.port", "1.5"),
        ("registry.heartbeat_s", "0"),
        ("registry.heartbeat_s", "-3"),
        ("registry.heartbeat_s", "inf"),
        ("registry.heartbeat_s", "nan"),
        ("worker.slots", "0"),
        ("worker.slots", ""),
        ("hive.threads", "0"),
        ("hive.id", "no spaces"),
        ("hive.id", "../up"),
        ("hive.id", "box\n"),
        ("server.log_level", "loud"),
        ("server.require_token", "perhaps"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_name_and_source(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, environ={variable_of(name): value})
    assert name in caught.value.message
    assert variable_of(name) in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("server.allowed_hosts", "a.example, b.example ,", ("a.example", "b.example")),
        ("server.allowed_hosts", "", ()),
        ("server.require_token", "true", True),
        ("server.require_token", "0", False),
        ("hive.threads", "3", 3),
        ("hive.threads", "none", None),
        ("hive.threads", "", None),
        ("hive.id", "box-1", "box-1"),
        ("registry.url", "http://r:1", "http://r:1"),
        ("worker.heartbeat_s", "2", 2.0),
    ],
)
def test_text_is_read_as_the_setting_means_it(tmp_path: Path, name: str, value: str, meant: object) -> None:
    described = {one.name: one.value for one in load(tmp_path, line={name: value}).describe()}
    assert described[name] == meant


def test_the_file_may_hold_lists_and_numbers(tmp_path: Path) -> None:
    settings = load(tmp_path, '[server]\nallowed_hosts = ["a", "b"]\n[worker]\ndrain_s = 2\n').settings
    assert settings.server.allowed_hosts == ("a", "b")
    assert settings.worker.drain_s == 2.0


def test_worker_ports_must_make_a_range(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="9000 > 8999"):
        load(tmp_path, line={"hive.worker_port_first": "9000", "hive.worker_port_last": "8999"})


@pytest.mark.parametrize("text", ["port = = 1", "port = 7\n", "\xff"], ids=["syntax", "outside a table", "no UTF-8"])
def test_a_file_that_is_no_settings_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"config\.toml"):
        load(tmp_path)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"config\.toml"):
        load(tmp_path)


def test_foreign_variables_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, environ={"QUEEN_PORT": "1", "RBEE_HOME": "/x", "RBEE_PLUGINS": ""}).sources == {}


def test_a_password_in_a_url_is_used_and_not_shown(tmp_path: Path) -> None:
    url = "postgresql://rbee:s3:cr@et@db/rbee"
    loaded = load_settings(tmp_path / "config.toml", {"RBEE_QUEEN_BEEHIVES_URL": url})
    assert loaded.settings.queen.beehives_url == url
    shown = next(one for one in loaded.describe() if one.name == "queen.beehives_url")
    assert shown.value == "postgresql://rbee:***@db/rbee"


@pytest.mark.parametrize("name", ["registry.url", "queen.url"])
def test_an_address_that_is_none_is_named_with_its_setting_and_an_example(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"sets '{name}' to 'junk': it is no address.*http://10\.0\.0\.5:7830"
    ):
        load(tmp_path, line={name: "junk"})


def test_a_name_that_will_not_do_is_explained_without_a_pattern(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'a/b': use letters, digits and \. _ -, at most 63 characters"):
        load(tmp_path, line={"hive.id": "a/b"})


def test_a_file_that_is_no_text_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xe1")
    with pytest.raises(ConfigurationError, match=r"config\.toml' is not a text file in UTF-8\. Move it away"):
        load(tmp_path)
