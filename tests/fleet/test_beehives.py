"""The list of hives: over the commands and the queen's routes, with a queen and without one."""

import json
import stat

import pytest
from fleet.conftest import one_line
from rbee.testing.colony import eventually

LIST, ADD, REMOVE = (f"/v2/registry/beehives/{name}" for name in ("list", "add", "remove"))
IMPORT = "/v2/registry/beehives/import"


def shown(home, name):
    done = home.cli("hive", "show", name, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(home):
    return {one["node_name"]: one for one in json.loads(home.cli("hive", "ls", "--json").stdout)["nodes"]}


def test_the_list_is_kept_without_a_queen(home):
    assert "No hives were entered" in home.cli("hive", "ls").stderr
    assert (
        home.cli(
            "hive", "add", "gpu1", "--no-connect", "--ssh-key", "k", "--label", "room=cellar", "--port", "7900"
        ).returncode
        == 0
    )
    assert stat.S_IMODE((home.home / "beehives.db").stat().st_mode) == 0o600
    one = shown(home, "gpu1")
    assert (one["ssh_host"], one["hive_port"], one["labels"]) == ("gpu1", 7900, {"room": "cellar"})
    assert one["ssh_key_path"] == str(home.folder / "k")
    again = home.cli("hive", "add", "gpu1", "--no-connect")
    assert again.returncode == 1
    assert "--update" in one_line(again.stderr)
    assert home.cli("hive", "add", "gpu1", "--update", "--ssh-host", "10.0.0.7", "--disabled").returncode == 0
    one = shown(home, "gpu1")
    assert (one["ssh_host"], one["hive_port"], one["enabled"]) == ("10.0.0.7", 7900, False)
    unknown = home.cli("hive", "add", "gpu9", "--update", "--disabled")
    assert (unknown.returncode, "no hive 'gpu9'" in unknown.stderr, "gpu9" in listed(home)) == (1, True, False)
    for args, told in ((("bad name!",), "letters, digits"), (("gpu8", "--host-key", "junk"), "ssh-keygen")):
        refused = home.cli("hive", "add", *args, "--no-connect")
        assert (refused.returncode, told in refused.stderr, "regex" in refused.stderr) == (1, True, False)
    key = f"SHA256:{'aB3' * 14}/"
    added = home.cli("hive", "add", "gpu8", "--no-connect", "--host-key", key, "--json")
    assert json.loads(added.stdout) == {"added": ["gpu8"], "updated": []}
    assert json.loads(home.cli("hive", "rm", "gpu8", "--json").stdout) == {"removed": ["gpu8"]}
    table = home.cli("hive", "ls").stdout
    assert "disabled" in table
    assert "room=cellar" in table
    assert "10.0.0.7" in home.cli("hive", "show", "gpu1").stdout
    assert home.cli("hive", "rm", "gpu1").returncode == 0
    gone = home.cli("hive", "rm", "gpu1")
    assert gone.returncode == 1
    assert "no hive 'gpu1' on the list" in one_line(gone.stderr)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--label", "room"), "KEY=VALUE"),
        (("--enabled", "--disabled"), "exclude each other"),
        (("--port", "70000"), "a port is a number from 1 to 65535"),
        (("--ssh-host", "-oX"), "ssh_host"),
    ],
)
def test_what_will_not_do_is_one_line(home, arguments, words):
    done = home.cli("hive", "add", "gpu1", "--no-connect", *arguments)
    assert done.returncode in {1, 2}
    assert words in one_line(done.stderr)
    assert listed(home) == {}


def test_machines_are_imported_all_or_none(home):
    config = home.folder / "config"
    config.write_text("Host a b\n  User u\nHost c\n  ProxyJump a\nHost *\n  Port 2222\n")
    dry = home.cli("hive", "import", "--file", str(config), "--dry-run", "--json")
    assert json.loads(dry.stdout)["added"] == ["a", "b", "c"]
    assert listed(home) == {}
    done = home.cli("hive", "import", "--file", str(config), "[ab]")
    assert done.stdout == "add a\nadd b\n"
    assert home.cli("hive", "import", "--file", str(config)).returncode == 1
    assert sorted(listed(home)) == ["a", "b"]
    done = home.cli("hive", "import", "--file", str(config), "--update")
    assert done.stdout == "add c\nupdate a\nupdate b\n"
    assert listed(home)["c"]["ssh_jump"] == "a"
    hives = home.home / "config" / "hives.conf"
    hives.write_text("Host d\n  HivePort 7900\nHost e\n  HivePort none\n")
    wrong = home.cli("hive", "import", "--from", "hives.conf")
    assert wrong.returncode == 1
    assert f"'{hives}', line 4" in one_line(wrong.stderr)
    assert sorted(listed(home)) == ["a", "b", "c"]
    hives.write_text("Host d\n  HivePort 7900\n")
    assert home.cli("hive", "import", "--from", "hives.conf").stdout == "add d\n"
    assert listed(home)["d"]["hive_port"] == 7900


def test_a_newer_data_base_is_one_line(home):
    import sqlite3

    home.cli("hive", "add", "a", "--no-connect")
    connection = sqlite3.connect(home.home / "beehives.db")
    connection.execute("UPDATE beehives_version SET version_num = 'later'")
    connection.commit()
    connection.close()
    for arguments in (("hive", "ls"), ("up",)):
        done = home.cli(*arguments)
        assert done.returncode == 1
        assert "a newer rbee has used it" in one_line(done.stderr)


def test_the_queen_finds_hives_that_were_entered_and_notes_it(colony):
    port = colony.hive_url.rpartition(":")[2]
    queen_port = colony.queen_url.rpartition(":")[2]
    assert colony.cli("hive", "add", "self", "--no-connect", "--ssh-host", "localhost", "--port", port).returncode == 0
    assert (
        colony.cli("hive", "add", "other", "--no-connect", "--ssh-host", "127.0.0.1", "--port", queen_port).returncode
        == 0
    )

    def told():
        found = listed(colony)
        return found["self"]["status"] == "online" and found["other"]["status"] == "error" and found

    found = eventually(told)
    assert found["self"]["last_connected_unix"] > 1_700_000_000
    assert "CPU-0" in found["self"]["devices"]
    assert found["other"]["last_connected_unix"] is None
    colony.stop()
    assert sorted(listed(colony)) == ["other", "self"]


def test_the_routes_answer_as_their_clients_expect(shared_colony):
    http, queen = shared_colony.http, shared_colony.queen_url

    def ask(method, path, **more):
        return http.request(method, f"{queen}{path}", **more)

    # The body of clients that know the documents' routes, with what is not theirs to say.
    body = {
        "node_name": "workstation", "ssh_host": "192.0.2.1", "ssh_port": 22, "ssh_user": "v", "ssh_key_path": None,
        "git_repo_url": "https://example.org/x.git", "git_branch": "main", "install_path": "~/rbee", "enabled": False,
        "last_connected_unix": 5, "status": "online",
    }  # fmt: skip
    added = ask("POST", ADD, json=body)
    assert added.status_code == 200
    told = added.json()
    assert (told["success"], told["node_name"]) == (True, "workstation")
    assert (told["node"]["status"], told["node"]["last_connected_unix"]) == ("unknown", None)
    assert ask("POST", ADD, json=body).status_code == 409
    assert ask("POST", ADD, json={"node_name": "workstation", "git_branch": "dev", "update": True}).json()["node"][
        "git_branch"
    ] == "dev"  # fmt: skip
    for wrong in ({}, {"node_name": "a b"}, {"node_name": "a", "ssh_port": 0}, {"node_name": "a", "labels": {"": ""}}):
        assert ask("POST", ADD, json=wrong).json()["error"]["code"] == "INVALID_REQUEST", wrong
    assert ask("POST", IMPORT, json={"nodes": [{"node_name": "n"}, {"node_name": "workstation"}]}).status_code == 409
    assert [one["node_name"] for one in ask("GET", LIST).json()["nodes"]] == ["workstation"]
    assert ask("DELETE", REMOVE).status_code == 400
    assert ask("DELETE", REMOVE, params={"node_name": "nobody"}).status_code == 404
    assert ask("DELETE", REMOVE, json={"node_name": "workstation"}).json()["success"] is True
    assert ask("POST", REMOVE, json={"node_name": "workstation"}).json()["error"]["code"] == "NOT_FOUND"
    for method, path in (("GET", LIST), ("POST", ADD), ("POST", REMOVE), ("DELETE", REMOVE), ("POST", IMPORT)):
        assert http.request(method, f"{queen}{path}", headers={"authorization": ""}).status_code == 401
