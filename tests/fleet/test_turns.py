"""Two models and room for one: each gets its turn, and nothing open is cut."""

import threading
import time

from rbee.testing.colony import eventually

BUSY = "echo:busy?delay_ms=5"


def answered(colony, model, words):
    body = {"model": model, "messages": [{"role": "user", "content": words}]}
    return colony.http.post(f"{colony.queen_url}/v1/chat/completions", json=body, timeout=60)


def test_a_model_asked_for_without_a_pause_makes_room_for_another_one(make_colony):
    colony = make_colony(**{"hive.threads": "1", "queen.turn_s": "1", "queen.slot_wait_s": "30"})
    over, went = threading.Event(), []

    def without_a_pause():
        while not over.is_set():
            went.append(answered(colony, BUSY, "word " * 40).status_code)

    asking = [threading.Thread(target=without_a_pause) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        eventually(lambda: len(went) > 4, 20)
        began = time.monotonic()
        other = answered(colony, "echo:other", "me too")
        took = time.monotonic() - began
        before = len(went)
        # Who was there before has his turn again.
        eventually(lambda: len(went) > before + 2, 20)
    finally:
        over.set()
        for thread in asking:
            thread.join()
    assert other.status_code == 200, other.text
    assert took > 1
    assert set(went) == {200}
