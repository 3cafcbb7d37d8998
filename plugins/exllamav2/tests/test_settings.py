"""How sampling parameters reach each library."""

from __future__ import annotations

import numpy as np
import pytest
from rbee.contract.token_engine import Sampling, TokenRequest
from rbee_exllamav2.logits import likeliest, log_probabilities, plain, shaped

FULL = Sampling(
    temperature=0.7,
    top_p=0.9,
    top_k=40,
    min_p=0.05,
    repetition_penalty=1.1,
    presence_penalty=0.5,
    frequency_penalty=0.25,
    logit_bias={7: 2.0, 8: -100.0},
    seed=5,
)


def job_of(engine, sampling):
    engine.add(TokenRequest(request_id="a", prompt=(1, 2, 2), max_tokens=4, sampling=sampling))
    return engine._running["a"].job


@pytest.mark.parametrize("which", ["exllamav2"], indirect=True)
class TestExLlamaV2:
    def test_parameters_are_the_librarys_settings_and_none_is_left_at_its_default(self, loaded):
        job = job_of(loaded, FULL)
        settings = job.more["gen_settings"]
        assert (settings.temperature, settings.top_p, settings.top_k, settings.min_p) == (0.7, 0.9, 40, 0.05)
        assert settings.token_repetition_penalty == 1.0
        assert len(job.filters) == 1

    def test_what_is_off_is_off(self, loaded):
        settings = job_of(loaded, Sampling()).more["gen_settings"]
        assert (settings.temperature, settings.top_p, settings.top_k, settings.min_p) == (1.0, 1.0, 0, 0.0)

    @pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(min_p=1.0)])
    def test_greedy_is_the_best_token_alone(self, loaded, sampling):
        settings = job_of(loaded, sampling).more["gen_settings"]
        assert (settings.top_k, settings.token_repetition_penalty) == (1, 1.0)

    def test_penalties_and_biases_change_the_draw(self, loaded):
        # After 2 comes 7; a bias takes it out and brings in another.
        job_of(loaded, Sampling(temperature=0, logit_bias={7: -100.0, 99: 50.0}))
        tokens = [event.token for _ in range(3) for event in loaded.step() if event.token is not None]
        assert tokens == [99, 99, 99]


@pytest.mark.parametrize("which", ["exllamav3"], indirect=True)
class TestExLlamaV3:
    @staticmethod
    def steps(job):
        return [(type(step).__name__, getattr(step, "values", None)) for step in job.sampler.steps]

    def test_parameters_are_the_librarys_steps_in_its_order(self, loaded):
        assert self.steps(job_of(loaded, FULL)) == [
            ("SS_LogitBias", ({7: 2.0, 8: -100.0},)),
            ("SS_RepP", (1.1,)),
            ("AnswerPenalties", None),
            ("SS_Temperature", (0.7,)),
            ("SS_MinP", (0.05,)),
            ("SS_TopK", (40,)),
            ("SS_TopP", (0.9,)),
            ("SS_Sample", ()),
        ]

    def test_what_is_off_the_library_leaves_out_itself(self, loaded):
        assert [name for name, _ in self.steps(job_of(loaded, Sampling()))] == [
            "SS_LogitBias",
            "SS_RepP",
            "SS_Temperature",
            "SS_MinP",
            "SS_TopK",
            "SS_TopP",
            "SS_Sample",
        ]

    def test_greedy_is_the_best_token_alone(self, loaded):
        names = [name for name, _ in self.steps(job_of(loaded, Sampling(temperature=0)))]
        assert names == ["SS_LogitBias", "SS_RepP", "SS_Argmax"]


LOGITS = np.array([2.0, -2.0, 1.0, 0.5, 0.0, 9.0], dtype=np.float32)


def shape(sampling, prompt=(), answer=(), mask=None):
    return shaped(LOGITS, sampling, prompt, answer, mask).tolist()


def test_the_model_s_logits_stay_as_they_are():
    before = LOGITS.copy()
    shape(Sampling(repetition_penalty=2.0, presence_penalty=1.0, logit_bias={0: 1.0}), (0,), (0,), b"\1\0\0\0")
    assert LOGITS.tolist() == before.tolist()


def test_the_repetition_penalty_goes_over_prompt_and_answer():
    assert shape(Sampling(repetition_penalty=2.0), prompt=(0, 0), answer=(1,)) == [1.0, -4.0, 1.0, 0.5, 0.0, 9.0]


def test_presence_and_frequency_go_over_the_answer_alone():
    sampling = Sampling(presence_penalty=0.5, frequency_penalty=0.25)
    assert shape(sampling, prompt=(0, 0), answer=(2, 2, 3)) == [2.0, -2.0, 0.0, -0.25, 0.0, 9.0]


def test_biases_are_added_and_those_of_tokens_that_do_not_exist_are_nothing():
    assert shape(Sampling(logit_bias={1: 3.0, 77: 1.0})) == [2.0, 1.0, 1.0, 0.5, 0.0, 9.0]


def test_a_mask_leaves_what_may_come_and_nothing_behind_the_vocabulary():
    inf = float("inf")
    assert shape(Sampling(), mask=bytes([0b00011101])) == [2.0, -inf, 1.0, 0.5, 0.0, -inf]
    long = np.zeros(40, dtype=np.float32)
    found = shaped(long, Sampling(), (), (), bytes([255, 255, 255, 255]))
    assert np.isneginf(found).tolist() == [False] * 32 + [True] * 8


def test_only_changes_count_as_changes():
    assert plain(Sampling(temperature=0.3, top_p=0.5, top_k=3, min_p=0.1, seed=9))
    for change in (
        {"repetition_penalty": 1.1},
        {"presence_penalty": -1},
        {"frequency_penalty": 1},
        {"logit_bias": {1: 1}},
    ):
        assert not plain(Sampling(**change))


def test_log_probabilities_add_up_and_leave_out_what_is_no_token():
    found = log_probabilities(LOGITS, 5)
    assert found.size == 5
    assert np.exp(found).sum() == pytest.approx(1.0)
    assert [token for token, _ in likeliest(found, 3)] == [0, 2, 3]
    assert len(likeliest(found, 20)) == 5
