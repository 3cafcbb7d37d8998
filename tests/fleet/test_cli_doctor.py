"""`rbee doctor`: with nothing running, with a colony, and with things that are wrong."""

import json
import socket
import subprocess

import pytest
from fleet.conftest import one_line
from rbee.testing.colony import eventually


def examine(home, *args):
    done = home.cli("doctor", "--json", *args)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is (done.returncode == 0)
    assert done.returncode in {0, 1}
    for check in told["checks"]:
        assert check["status"] == "ok" or check["remedy"], check
    return done.returncode, told["checks"]


def failed(checks):
    return {check["name"]: check for check in checks if check["status"] == "fail"}


def test_with_nothing_running_a_sound_machine_passes_and_nothing_is_made(home):
    code, checks = examine(home)
    assert (code, failed(checks)) == (0, {})
    assert {"rbee", "folders", "token", "settings", "disk", "devices", "queen"} <= {check["name"] for check in checks}
    assert not home.home.exists()


def test_a_running_colony_is_asked_too(shared_colony):
    code, checks = examine(shared_colony)
    assert (code, failed(checks)) == (0, {})
    where = {check["where"] for check in checks}
    assert {"This machine", "Programs", "Queen"} <= where
    assert any(one.startswith("Hive ") for one in where)
    assert any(check["detail"] == "the queen accepts it" for check in checks)


def test_it_is_a_line_a_check_with_a_sign(shared_colony):
    lines = shared_colony.cli("doctor").stdout.splitlines()
    assert lines[0] == "This machine"
    assert any(line.startswith("  ✓ rbee: ") for line in lines)
    assert lines[-1].endswith("with a warning.")


def test_where_signs_cannot_be_written_there_are_plain_ones(make_home):
    home = make_home(environment={"PYTHONIOENCODING": "ascii"})
    out = subprocess.run(home.argv("doctor"), capture_output=True, env=home.environment, check=False, timeout=60).stdout
    assert out.isascii()
    assert b"  + rbee: " in out


def test_a_taken_port_fails_and_its_holder_is_named(make_home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, checks = examine(make_home(**{"queen.port": str(port)}))
    assert code == 1
    assert str(port) in failed(checks)["queen"]["detail"]
    assert "process" in failed(checks)["queen"]["detail"]
    assert "queen.port" in failed(checks)["queen"]["remedy"]


def test_a_wrong_setting_and_a_plugin_that_fails_are_told_together(make_home):
    home = make_home(environment={"RBEE_TELEMETRY_CLEANUP_S": "never"})
    code, checks = examine(home)
    assert code == 1
    assert "RBEE_TELEMETRY_CLEANUP_S" in failed(checks)["settings"]["detail"]
    assert any(check["where"] == "Plugins and hardware" for check in checks)


def test_a_token_that_the_queen_refuses_fails_with_what_to_copy(colony, make_home):
    stranger = make_home(**{"queen.url": colony.queen_url})
    stranger.token_file.parent.mkdir(parents=True, mode=0o700)
    stranger.token_file.write_text("quite-another-token-here\n")
    stranger.token_file.chmod(0o600)
    code, checks = examine(stranger)
    assert code == 1
    assert "rbee config path token" in failed(checks)["token"]["remedy"]


def test_a_queen_who_does_not_answer_fails(make_home):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    home = make_home(**{"queen.url": f"http://127.0.0.1:{port}"})
    home.token_file.parent.mkdir(parents=True, mode=0o700)
    home.token_file.write_text("a-token-for-this-test\n")
    home.token_file.chmod(0o600)
    code, checks = examine(home)
    assert code == 1
    assert "does not answer" in failed(checks)["queen"]["detail"]


@pytest.mark.parametrize("answer", [b"junk\x00\xff", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"])
def test_something_else_in_the_place_of_the_registry_fails(make_home, answer):
    import threading

    with socket.create_server(("127.0.0.1", 0)) as other:

        def serve():
            while True:
                try:
                    line, _ = other.accept()
                except OSError:
                    return
                with line:
                    line.recv(65536)
                    line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        home = make_home(**{"registry.url": f"http://127.0.0.1:{other.getsockname()[1]}"})
        code, checks = examine(home)
        other.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert code == 1
    assert "registry" in failed(checks)


def test_workers_that_a_killed_colony_has_left_are_a_warning(colony):
    assert colony.cli("worker", "spawn", "echo:left", "--worker-id", "left").returncode == 0
    colony.kill9()
    code, checks = examine(colony)
    (warned,) = [check for check in checks if check["name"] == "workers"]
    assert (code, warned["status"]) == (0, "warn")
    assert "left" in warned["detail"]
    assert "rbee down" in warned["remedy"]
    assert colony.cli("down").returncode == 0
    eventually(colony.nothing_left)


def test_a_token_of_another_colony_is_said_by_every_command_with_what_to_copy(make_home):
    """Also where there is no token at all, which asking does not make."""
    first = make_home(**{"registry.port": "0"})
    with first.start("registry", "start", "--json") as running:
        url = json.loads(eventually(lambda: running.stdout.strip() and running.stdout))["url"]
        second = make_home(**{"registry.url": url})
        for there in (False, True):
            if there:
                second.token_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                second.token_file.write_text("another-colonys-token-0123456789\n")
                second.token_file.chmod(0o600)
            for args in (("worker", "ls"), ("top",), ("status",), ("run", "demo", "hi"), ("worker", "spawn", "demo")):
                done = second.cli(*args)
                assert done.returncode == 1, (args, done.stderr)
                assert url in done.stderr
                assert f"to '{second.token_file}', mode 0600" in one_line(done.stderr.splitlines()[-1])
            assert second.token_file.exists() is there
            code, checks = examine(second)
            assert code == 1
            assert list(failed(checks)) == ["token"]
            refused = failed(checks)["token"]
            assert (refused["where"], str(second.token_file) in refused["remedy"]) == ("Registry", True)
        running.interrupt()
        running.wait()


def test_a_registry_that_is_not_started_yet_on_a_fresh_machine_is_a_warning(make_home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, checks = examine(make_home(**{"registry.url": f"http://127.0.0.1:{port}"}))
    told = [check for check in checks if check["where"] == "Registry"]
    assert (code, [check["status"] for check in told]) == (0, ["warn"])
