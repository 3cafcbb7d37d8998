"""Reasoning, split from what is for the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.worker.tokens.sections import MARKS, Reasoning, begun, marks_of

THINK = MARKS[0]


def split(text, cuts=(), *, marks=THINK, inside=False):
    """What comes out when the text comes in pieces cut at these places."""
    reasoning = Reasoning(marks, begun=inside)
    at, parts = 0, []
    for cut in [*sorted({min(cut, len(text)) for cut in cuts}), len(text)]:
        parts.append(reasoning.feed(text[at:cut]))
        at = cut
    parts.append(reasoning.flush())
    return "".join(part.reasoning for part in parts), "".join(part.content for part in parts)


CASES = [
    ("plain", ("", "plain")),
    ("<think>hm</think>yes", ("hm", "yes")),
    ("\n<think>\nhm \n ho\n</think>\n\nyes\n", ("hm \n ho", "yes\n")),
    ("<think>never ends", ("never ends", "")),
    ("<think></think>yes", ("", "yes")),
    ("<thin ice", ("", "<thin ice")),
    ("say <think>x</think>", ("", "say <think>x</think>")),
    ("<think>a</think>b<think>c</think>", ("a", "b<think>c</think>")),
    ("<think>a</thin", ("a</thin", "")),
    ("  ", ("", "  ")),
    ("", ("", "")),
]


@pytest.mark.parametrize(("text", "parts"), CASES)
def test_reasoning_at_the_beginning_is_split_off(text, parts):
    assert split(text) == parts


@given(st.sampled_from(CASES), st.lists(st.integers(0, 40)))
def test_it_does_not_matter_in_which_pieces_a_text_comes(case, cuts):
    text, parts = case
    assert split(text, cuts) == parts


@given(st.text("<thinkab/> \n"), st.lists(st.integers(0, 40)))
def test_any_text_in_pieces_is_split_as_in_one(text, cuts):
    assert split(text, cuts) == split(text)


def test_a_text_may_begin_within_reasoning():
    assert split("\nhm\n</think>\nyes", inside=True) == ("hm", "yes")


def test_a_model_without_marks_says_what_it_says():
    assert split(" <think>a</think> ", marks=None) == ("", " <think>a</think> ")


def test_marks_are_known_by_the_template_and_a_prompt_may_have_begun():
    assert marks_of("... </think> ...") is THINK
    assert marks_of("[THINK][/THINK]") is MARKS[1]
    assert marks_of("nothing") is None
    assert begun(THINK, "<|im_start|>assistant\n<think>\n")
    assert not begun(THINK, "<think>\n\n</think>\n\n")
    assert not begun(None, "<think>")
