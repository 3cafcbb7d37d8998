"""Who leaves in mid-answer frees the engine's slot within a second."""

import httpx2
import pytest
from fleet.conftest import sdk, user
from rbee.testing.colony import eventually

ECHO = "echo:slow?tokens=2000"


def long(model):
    """A completion that takes many seconds, whatever the model would like to say."""
    body = {"model": model, "prompt": "Python", "max_tokens": 1900, "temperature": 0}
    return body if model == ECHO else {**body, "ignore_eos": True}


def post_stream(client, colony, model):
    request = client.build_request(
        "POST", f"{colony.openai_base_url}/completions", json={**long(model), "stream": True}
    )
    return client.send(request, stream=True)


def all_free(colony, worker):
    def check():
        told = colony.worker_info(worker)
        assert told["slots_available"] == told["slots_total"], told
        return True

    return check


@pytest.fixture(params=["demo", ECHO], ids=["demo", "echo"])
def model(request):
    return request.param


def test_a_client_that_closes_its_stream_frees_the_slot(shared_colony, model):
    with httpx2.Client(trust_env=False, timeout=60) as client:
        stream = post_stream(client, shared_colony, model)
        lines = stream.iter_lines()
        next(lines)
        worker = shared_colony.worker(model)
        assert shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"] - 1
        stream.close()
        eventually(all_free(shared_colony, worker), 1.0)


def test_clients_whose_connections_break_free_all_their_slots(shared_colony, model):
    with httpx2.Client(trust_env=False, timeout=60) as client:
        streams = [post_stream(client, shared_colony, model) for _ in range(3)]
        worker = shared_colony.worker(model)
        eventually(lambda: shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"] - 3, 3)
        for stream in streams:
            stream.close()
    eventually(all_free(shared_colony, worker), 1.0)


def test_a_client_that_gives_up_a_whole_answer_frees_the_slot(shared_colony, client, model):
    client.completions.create(model=model, prompt="Python", max_tokens=1)
    worker = shared_colony.worker(model)
    with httpx2.Client(trust_env=False, timeout=0.5) as impatient, pytest.raises(httpx2.ReadTimeout):
        impatient.post(f"{shared_colony.openai_base_url}/completions", json=long(model))
    eventually(all_free(shared_colony, worker), 1.0)


def test_a_cancelled_job_frees_the_slot(shared_colony):
    job = shared_colony.submit("infer", **long(ECHO))
    for _, event in shared_colony.events(job):
        if event.get("action") == "token":
            break
    worker = shared_colony.worker(ECHO)
    assert shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"] - 1
    cancelled = shared_colony.http.delete(f"{shared_colony.queen_url}/v1/jobs/{job}").json()
    assert cancelled == {"cancelling": True}
    eventually(all_free(shared_colony, worker), 1.0)
    *_, (_, last), (_, end) = shared_colony.events(job)
    assert (last["type"], end) == ("cancelled", "[CANCELLED]")


def test_the_openai_client_can_be_closed_in_mid_answer(shared_colony):
    with sdk(shared_colony) as leaving:
        stream = leaving.chat.completions.create(model=ECHO, messages=user("x"), stream=True, max_tokens=2000)
        next(iter(stream))
        worker = shared_colony.worker(ECHO)
        stream.close()
    eventually(all_free(shared_colony, worker), 1.0)
