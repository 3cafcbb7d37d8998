"""The sentences of the features."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from bdd.scene import EVERY_SECOND, PYTHON, Scene, Stream, soon, throughout
from bdd.sentences import names, sentence, sentence_with_list
from pytest_bdd import given, parsers, step, then, when
from rbee.testing.networks import Network, why_not
from rbee.testing.site import Site

QUEEN_BACK_S = 10.0
REFUSED_S = 30.0


@pytest.fixture(scope="session")
def no_networks() -> str | None:
    """Why there can be no networks whose cables can be pulled; None where there can."""
    return why_not()


@pytest.fixture
def make_network(request) -> Iterator[Callable[[], Network]]:
    """Opens a network, or skips the test where the system does not permit it."""
    opened: list[Network] = []

    def make() -> Network:
        reason = request.getfixturevalue("no_networks")
        if reason is not None:
            pytest.skip(reason)
        opened.append(Network(len(opened)))
        return opened[-1].open()

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def scene(make_network: Callable[[], Network], make_site: Callable[..., Site]) -> Scene:
    """What the steps share."""
    return Scene(make_site, make_network)


# --- starting ----------------------------------------------------------------------------------------------------


@step("heartbeats every second")
def _(scene: Scene) -> None:
    scene.settings.update(EVERY_SECOND)


@step("workers that stop after 2 seconds without hive and queen")
def _(scene: Scene) -> None:
    scene.settings["worker.orphan_s"] = "2"


@step(sentence("machines {first}, {second} and {third} with networks of their own"))
def _(scene: Scene, first: str, second: str, third: str) -> None:
    scene.join_networks(first, second, third)


@step("the registry is started")
@step("the registry is started again")
def _(scene: Scene) -> None:
    scene.site.registry.start()


@given("queen-rbee is running")
@step("the queen is started")
@step("the queen is started again where she was")
def _(scene: Scene) -> None:
    scene.start_queen()


@step("the queen is started again at another port")
def _(scene: Scene) -> None:
    scene.site.queen.port = scene.site.free_port()
    scene.start_queen()


@step(sentence("the hive {name} is started"))
@step(sentence("the hive {name} is started again"))
def _(scene: Scene, name: str) -> None:
    scene.hive(name).start()


@step(sentence("the hive {name} is started with the queen's address"))
def _(scene: Scene, name: str) -> None:
    hive = scene.hive(name)
    hive.machine.settings["queen.url"] = scene.site.queen.url
    hive.start()


@step(sentence("the hive {hive} starts the worker {name} with the model {model}"))
def _(scene: Scene, hive: str, name: str, model: str) -> None:
    scene.spawn(hive, name, model)


@step(sentence("the worker {name} with the model {model} is started by hand"))
def _(scene: Scene, name: str, model: str) -> None:
    scene.by_person(name, model)


@step(sentence("the worker {name} with the model {model} is started by hand with the queen's address"))
def _(scene: Scene, name: str, model: str) -> None:
    scene.by_person(name, model, queen=True)


# --- registering -------------------------------------------------------------------------------------------------


def _spawners_words(scene: Scene) -> dict:
    worker = scene.by_hand[scene.newest]
    return {
        "worker_id": scene.newest,
        "hostname": worker.machine.address,
        "port": worker.port,
        "worker_type": "llm",
        "model": worker.worker.model,
        "spawned_by": "gui",
    }


@when("its spawner notifies the queen")
def _(scene: Scene) -> None:
    url = f"{scene.site.queen.url}/v1/queen/register-worker"
    assert scene.site.http.post(url, json=_spawners_words(scene)).status_code == 200


@when("its spawner registers it with the registry in the short form")
def _(scene: Scene) -> None:
    url = f"{scene.site.registry.url}/v1/registry/register"
    assert scene.site.http.post(url, json=_spawners_words(scene)).is_success


@when("its spawner sends the ready callback")
def _(scene: Scene) -> None:
    worker = scene.by_hand[scene.newest]
    body = {"worker_id": scene.newest, "url": worker.url, "model_ref": worker.worker.model, "backend": "cpu"}
    answer = scene.site.http.post(f"{scene.site.queen.url}/v1/workers/register", json=body)
    assert answer.status_code == 200, "the worker was known already"


@when("a worker sends ready callback")
def _(scene: Scene) -> None:
    worker = scene.site.worker_by_hand("worker-123", "echo:tinyllama").start()
    body = {"worker_id": "worker-123", "url": worker.url, "model_ref": "echo:tinyllama", "vram_bytes": 8000000000}
    assert scene.site.http.post(f"{scene.site.queen.url}/v1/workers/register", json=body).status_code == 201


@then("queen-rbee adds worker to in-memory registry")
def _(scene: Scene) -> None:
    assert scene.site.http.get(f"{scene.site.queen.url}/v1/info").json()["workers_total"] == 1


@then("the worker appears in /v1/workers/list")
def _(scene: Scene) -> None:
    assert scene.record("worker-123")["model_id"] == "echo:tinyllama"
    assert scene.is_answered("echo:tinyllama")


# --- harm --------------------------------------------------------------------------------------------------------


@when("the registry is killed")
def _(scene: Scene) -> None:
    scene.site.registry.kill9()


@when("the queen is killed")
def _(scene: Scene) -> None:
    scene.site.queen.kill9()
    scene.queen_killed_at = time.monotonic()


@when(sentence("the hive {name} is killed"))
def _(scene: Scene, name: str) -> None:
    scene.hives[name].kill9()


@when(sentence("the worker {name} is killed"))
def _(scene: Scene, name: str) -> None:
    process = psutil.Process(scene.pid(name))
    process.kill()
    if name in scene.by_hand:
        scene.by_hand[name].kill9()


@when(sentence("the worker {name} is stopped"))
def _(scene: Scene, name: str) -> None:
    scene.by_hand[name].stop()


@when(sentence("the worker {name} is stopped through the hive {hive}"))
def _(scene: Scene, name: str, hive: str) -> None:
    assert scene.site.run_job("worker_process_delete", hive_id=hive, worker_id=name)["type"] == "done"
    assert not scene.is_alive(name)


@when(sentence("the worker {name} is frozen"))
def _(scene: Scene, name: str) -> None:
    scene.site.freeze(scene.pid(name))


@when(sentence("the worker {name} is thawed"))
def _(scene: Scene, name: str) -> None:
    scene.site.thaw(scene.pid(name))


@when(sentence("everything on the machine {name} stops in the same instant"))
def _(scene: Scene, name: str) -> None:
    # Frozen first: else those killed last would tell of those killed first.
    processes = scene.site.machines[name].processes()
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            process.send_signal(number)
    scene.hives[name].kill9()


@when(sentence("the machine {name} is cut off"))
def _(scene: Scene, name: str) -> None:
    scene.network.cut(name)


@when(sentence("the machine {name} is connected again"))
def _(scene: Scene, name: str) -> None:
    scene.network.heal(name)


# --- what is seen ------------------------------------------------------------------------------------------------


@then(sentence("the queen lists the worker {name} at once"))
def _(scene: Scene, name: str) -> None:
    assert scene.record(name)
    # That its model is loaded, its own beat says, which may be on its way.
    soon(lambda: scene.record(name)["routable"])


@step(sentence_with_list("the queen lists the {workers}"))
def _(scene: Scene, workers: str) -> None:
    soon(lambda: scene.listed(*names(workers)))


@then("the queen lists no workers")
def _(scene: Scene) -> None:
    soon(scene.listed)


@step(parsers.re(r'the queen lists the workers? (?P<workers>"[^"]+"(?:, "[^"]+")*) as (?P<presence>\w+)\Z'))
def _(scene: Scene, workers: str, presence: str) -> None:
    soon(lambda: scene.present(presence, *names(workers)))


@then(sentence_with_list("the registry lists the {workers}"))
def _(scene: Scene, workers: str) -> None:
    soon(lambda: scene.leased("worker", *names(workers)))


@then("the registry lists no workers")
def _(scene: Scene) -> None:
    soon(lambda: scene.leased("worker"))


@then(sentence("the registry lists the queen and the hive {name}"))
def _(scene: Scene, name: str) -> None:
    soon(lambda: scene.leased("queen", "queen") and scene.leased("hive", name))


@then(sentence("the queen lists the hives {name}"))
def _(scene: Scene, name: str) -> None:
    soon(lambda: list(scene.site.hives()) == [name])


@then(sentence("the queen hears the hive {name}"))
def _(scene: Scene, name: str) -> None:
    soon(lambda: scene.hears(name))


@then(sentence("the queen no longer hears the hive {name}"))
def _(scene: Scene, name: str) -> None:
    soon(lambda: not scene.hears(name))


@then(sentence("the queen calls the hive {name} down"))
def _(scene: Scene, name: str) -> None:
    soon(lambda: scene.site.hives().get(name, {"health": "down"})["health"] == "down")


@then(parsers.re(r'the hive "(?P<hive>\w+)" measures the workers (?P<workers>.+)\Z'))
def _(scene: Scene, hive: str, workers: str) -> None:
    def measured() -> bool:
        found = scene.site.run_job("worker_process_list", at=scene.hives[hive].url)["result"]
        assert sorted(one["worker_id"] for one in found["workers"]) == names(workers)
        return True

    soon(measured)


@then(parsers.re(r'the workers? (?P<workers>"[^"]+"(?:, "[^"]+")*) speaks? to the queen (?:itself|themselves)\Z'))
def _(scene: Scene, workers: str) -> None:
    soon(lambda: all(scene.told_by_itself(name) for name in names(workers)))


@then(sentence("the worker {name} is still the same process"))
def _(scene: Scene, name: str) -> None:
    assert scene.is_same_process(name)


@then(sentence("for 5 seconds the worker {name} does not stop"))
def _(scene: Scene, name: str) -> None:
    throughout(lambda: scene.is_alive(name), 5)


@then(sentence("the worker {name} takes requests again"))
def _(scene: Scene, name: str) -> None:
    soon(lambda: scene.record(name)["routable"])


@then("its spawner finds no queen to notify")
def _(scene: Scene) -> None:
    answer = scene.site.http.get(f"{scene.site.registry.url}/v1/registry/queen").raise_for_status()
    assert answer.json()["queen"] is None


# --- what clients get --------------------------------------------------------------------------------------------


@step(sentence("the queen answers a request for {model}"))
def _(scene: Scene, model: str) -> None:
    soon(lambda: scene.is_answered(model))


@then(parsers.re(r'every one of (?P<count>\d+) requests for "(?P<model>[^"]+)" is answered'))
def _(scene: Scene, count: str, model: str) -> None:
    assert all(scene.is_answered(model) for _ in range(int(count)))


@step(sentence("a client that knows only the registry gets an answer of {model}"))
@step(sentence("a client that knows only the registry still gets an answer of {model}"))
def _(scene: Scene, model: str) -> None:
    assert scene.ask_without_queen(model) == (PYTHON[1] if model == "demo" else PYTHON[0])


@then(sentence("a request for {model} is refused in bounded time and says why"))
def _(scene: Scene, model: str) -> None:
    answer = scene.ask(model, within=REFUSED_S)
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["message"]


@when(sentence("a client streams an answer straight from the worker {name}"))
def _(scene: Scene, name: str) -> None:
    found = scene.record(name)
    scene.stream = Stream(scene.site, found["url"], found["model_id"]).start()


@then("the stream comes to its end, with words while the queen was away")
def _(scene: Scene) -> None:
    stream = scene.stream.wait()
    assert stream.error is None
    assert stream.ended
    assert any(scene.queen_killed_at < moment < scene.queen_back_at for moment, _ in stream.words)


@then(sentence_with_list("within 10 seconds of her start the queen routes to the {workers}"))
def _(scene: Scene, workers: str) -> None:
    def all_routable() -> bool:
        found = scene.records()
        assert {name for name, one in found.items() if one["routable"]} == set(names(workers))
        return True

    soon(all_routable, scene.queen_started_at + QUEEN_BACK_S - time.monotonic())


@then(sentence_with_list("after all leases would have ended the queen still lists the {workers}"))
def _(scene: Scene, workers: str) -> None:
    lease_s = float(scene.settings["registry.online_s"])

    def all_routable() -> bool:
        return scene.listed(*names(workers)) and all(one["routable"] for one in scene.site.workers())

    throughout(all_routable, 2 * lease_s)
