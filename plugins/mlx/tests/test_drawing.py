"""What changes logits, by itself.  In a process of its own: the library wants to be used by one thread."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rbee_mlx.availability import availability

HEAD = """
import mlx.core as mx
from rbee.contract import Sampling
from rbee_mlx.drawing import Bias, Kept, Penalties, Tap, likeliest, processors_of
mx.set_default_device(mx.cpu)
LOGITS = mx.array([[1.0, -1.0, 2.0, 0.5]])

def told(array):
    return [round(value, 4) for value in array.tolist()[0]]
"""

CASES = {
    "presence is taken once from what the answer has, and not from what the prompt has": """
penalty = Penalties(Sampling(presence_penalty=0.5), [0, 1])
assert told(penalty(mx.array([0, 1]), LOGITS)) == [1.0, -1.0, 2.0, 0.5]
assert told(penalty(mx.array([0, 1, 2]), LOGITS)) == [1.0, -1.0, 1.5, 0.5]
assert told(penalty(mx.array([0, 1, 2, 2]), LOGITS)) == [1.0, -1.0, 1.5, 0.5]
""",
    "frequency is taken as often as the answer has it": """
penalty = Penalties(Sampling(frequency_penalty=0.5), [2])
penalty(mx.array([2]), LOGITS)
penalty(mx.array([2, 2]), LOGITS)
assert told(penalty(mx.array([2, 2, 2]), LOGITS)) == [1.0, -1.0, 1.0, 0.5]
""",
    "repetition divides what is positive and multiplies what is not, in prompt and answer": """
penalty = Penalties(Sampling(repetition_penalty=2.0), [1])
assert told(penalty(mx.array([1]), LOGITS)) == [1.0, -2.0, 2.0, 0.5]
assert told(penalty(mx.array([1, 2]), LOGITS)) == [1.0, -2.0, 1.0, 0.5]
""",
    "a bias is added": """
assert told(Bias({1: 5.0, 3: -1.0})(mx.array([0]), LOGITS)) == [1.0, 4.0, 2.0, -0.5]
""",
    "a constraint is asked with what was generated, and nothing else may come": """
class Even:
    told = []
    def mask(self, generated):
        self.told.append(list(generated))
        return bytes([0b0101, 0, 0, 0])

kept = Kept(Even(), 3)
assert told(kept(mx.array([7, 8]), LOGITS)) == [1.0, float("-inf"), 2.0, float("-inf")]
kept(mx.array([7, 8, 2]), LOGITS)
assert Even.told == [[], [2]]
""",
    "log probabilities are those of the untouched logits": """
tap = Tap()
assert tap(mx.array([0]), LOGITS) is LOGITS
logprob, top = likeliest(tap.take(), 0, 2)
assert abs(sum(mx.exp(LOGITS - mx.logsumexp(LOGITS)).tolist()[0]) - 1) < 1e-6
assert [token for token, _ in top] == [2, 0] and top[1][1] == logprob
assert likeliest(LOGITS[0], 1, 0) == (-1.0, ())
assert len(likeliest(LOGITS[0], 1, 20)[1]) == 4
""",
    "a request that asks for nothing has no processors": """
assert processors_of(Sampling(temperature=0.5, top_p=0.9), None, [1], 4) == []
assert len(processors_of(Sampling(presence_penalty=1, logit_bias={1: 1.0}), None, [1], 4)) == 2
""",
}


@pytest.mark.parametrize("case", CASES)
def test_logits_are_changed_as_the_contract_says(case):
    if not (found := availability()).available:
        pytest.skip(found.reason)
    done = subprocess.run([sys.executable, "-c", HEAD + CASES[case]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
