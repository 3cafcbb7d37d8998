"""Who leaves in mid-answer frees the engine's slot within a second."""

import httpx2
import pytest
from fleet.conftest import sdk, user
from rbee.testing.colony import eventually

LONG = {"max_tokens": 1900, "temperature": 0, "stream": True}


def all_free(colony, worker):
    def check():
        told = colony.worker_info(worker)
        assert told["slots_available"] == told["slots_total"], told
        return True

    return check


@pytest.fixture(params=["demo", "echo:slow?tokens=2000"])
def model(request):
    return request.param


def test_a_client_that_closes_its_stream_frees_the_slot(shared_colony, client, model):
    body = {"model": model, "prompt": "Python", **LONG, "extra_body": {"ignore_eos": True}}
    stream = client.completions.create(**body)
    next(iter(stream))
    worker = shared_colony.worker(model)
    assert shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"] - 1
    stream.close()
    eventually(all_free(shared_colony, worker), 1.0)


def test_a_client_whose_connection_breaks_frees_all_its_slots(shared_colony, model):
    body = {"model": model, "prompt": "Python", **LONG, "ignore_eos": True}
    with httpx2.Client(trust_env=False, timeout=60) as client:
        streams = [
            client.send(
                client.build_request("POST", f"{shared_colony.openai_base_url}/completions", json=body), stream=True
            )
            for _ in range(3)
        ]
        worker = shared_colony.worker(model)
        eventually(lambda: shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"] - 3)
        for stream in streams:
            stream.close()
    eventually(all_free(shared_colony, worker), 1.0)


def test_a_client_that_gives_up_a_whole_answer_frees_the_slot(shared_colony, client, model):
    client.completions.create(model=model, prompt="Python", max_tokens=1)
    worker = shared_colony.worker(model)
    body = {"model": model, "prompt": "Python", **LONG, "stream": False, "ignore_eos": True}
    with httpx2.Client(trust_env=False, timeout=0.5) as impatient, pytest.raises(httpx2.ReadTimeout):
        impatient.post(f"{shared_colony.openai_base_url}/completions", json=body)
    eventually(all_free(shared_colony, worker), 1.0)


def test_a_cancelled_job_frees_the_slot(shared_colony):
    job = shared_colony.submit("infer", model="echo:slow?tokens=2000", prompt="x", max_tokens=2000)
    for _, event in shared_colony.events(job):
        if event.get("action") == "token":
            break
    worker = shared_colony.worker("echo:slow?tokens=2000")
    assert shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"] - 1
    cancelled = shared_colony.http.delete(f"{shared_colony.queen_url}/v1/jobs/{job}").json()
    assert cancelled == {"cancelling": True}
    eventually(all_free(shared_colony, worker), 1.0)
    *_, (_, last), (_, end) = shared_colony.events(job)
    assert (last["type"], end) == ("cancelled", "[CANCELLED]")


def test_the_openai_client_can_be_closed_in_mid_answer(shared_colony):
    with sdk(shared_colony) as leaving:
        stream = leaving.chat.completions.create(
            model="echo:slow?tokens=2000", messages=user("x"), stream=True, max_tokens=2000
        )
        next(iter(stream))
        worker = shared_colony.worker("echo:slow?tokens=2000")
        stream.close()
    eventually(all_free(shared_colony, worker), 1.0)
