"""Options of engines among the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError
from rbee.settings.load import Loaded, load_settings, variable_of

NAME = "engines.mill.cache_mb"


def load(
    tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, line: dict[str, str] | None = None
) -> Loaded:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, environ or {}, line)


def test_a_table_of_an_engine_holds_its_options_whether_it_is_installed_or_not(tmp_path: Path) -> None:
    text = '[engines.mill]\ncache_mb = 5\nadapter = "a"\nfast = true\n[engines.nobody-has]\nscale = 0.5\n'
    assert load(tmp_path, text).settings.engines == {
        "mill": {"cache_mb": 5, "adapter": "a", "fast": True},
        "nobody-has": {"scale": 0.5},
    }


def test_the_nearer_source_wins_and_is_shown(tmp_path: Path) -> None:
    text, environ = "[engines.mill]\ncache_mb = 5\n", {"RBEE_ENGINES_MILL__CACHE_MB": "6"}
    assert variable_of(NAME) in environ
    for loaded, value, source in (
        (load(tmp_path, text), 5, "config.toml"),
        (load(tmp_path, text, environ), "6", "RBEE_ENGINES_MILL__CACHE_MB"),
        (load(tmp_path, text, environ, {NAME: "7"}), "7", "command line"),
    ):
        assert loaded.settings.engines == {"mill": {"cache_mb": value}}
        shown = next(one for one in loaded.describe() if one.name == NAME)
        assert (shown.value, shown.default) == (value, None)
        assert source in shown.source


def test_what_the_command_line_sets_holds_for_processes_that_inherit_it_as_their_environment(tmp_path: Path) -> None:
    for name in (NAME, "engines.my-mill.a_b", "engines.my_mill.a__b"):
        settings = load(tmp_path, environ={variable_of(name): "7"}).settings
        assert settings == load(tmp_path, line={name: "7"}).settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[engines]\nmill = 5\n", r"engines\.mill.*are a table"),
        ("[engines.mill]\ncache_mb = [5]\n", "true, false, a number or a text"),
        ("[engines.mill.deeper]\ncache_mb = 5\n", "true, false, a number or a text"),
        ("[engines.mill]\ncache_mb = nan\n", "finite"),
        (f'[engines.mill]\nadapter = "{"a" * 4097}"\n', "more than 4096"),
        ("[engines.'a b']\ncache_mb = 5\n", r"engines\.ENGINE\.OPTION"),
        ("[engines.mill]\n'Cache-MB' = 5\n", r"engines\.ENGINE\.OPTION"),
    ],
)
def test_what_can_be_no_option_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize("name", ["engines", "engines.mill", "engines.mill.", "engines..cache_mb", "engines.a__b.c"])
def test_a_name_that_is_not_complete_is_refused_on_the_command_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"engines\.ENGINE\.OPTION"):
        load(tmp_path, line={name: "5"})
