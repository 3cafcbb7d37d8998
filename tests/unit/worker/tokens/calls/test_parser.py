"""Calls in what models write."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.worker.tokens.calls import CallDelta, CallParser, style_of
from rbee.worker.tokens.calls.styles import BARE, HERMES, LLAMA3, MISTRAL, MISTRAL_NAMED, QWEN_CODER

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "parameters": {"type": "object", "properties": {"at": {"type": "string"}, "times": {"type": "integer"}}},
        },
    }
]
A = {"at": 'the \N{HONEYBEE} "x" {[,'}
CALL_A = '{"name": "look", "arguments": ' + json.dumps(A, ensure_ascii=False) + "}"
CALL_B = '{"arguments": {"times": 2}, "name": "look"}'
B = {"times": 2}
ELEMENTS = "<function=look>\n<parameter=at>\n5\n</parameter>\n<parameter=times>\n2\n</parameter>\n</function>"

CASES = [
    (HERMES, "plain text", "plain text", []),
    (HERMES, f"<tool_call>\n{CALL_A}\n</tool_call>", "", [A]),
    (HERMES, f"I look.\n<tool_call>\n{CALL_A}\n</tool_call>\n<tool_call>\n{CALL_B}\n</tool_call>", "I look.", [A, B]),
    (HERMES, f"<tool_call>{CALL_A}</tool_call> done", "done", [A]),
    (HERMES, "<tool_call>\nnone of it", "<tool_call>none of it", []),
    (HERMES, '<tool_call>{"no": "call"}</tool_call>', '<tool_call>{"no": "call"}</tool_call>', []),
    (HERMES, "<tool_cal", "<tool_cal", []),
    (HERMES, '<tool_call>{"name": "look", "arguments": "{\\"times\\": 2}"}</tool_call>', "", [B]),
    (HERMES, '<tool_call>{"name": "look", "arguments": null}</tool_call>', "", [{}]),
    (HERMES, '<tool_call>{"name": "look"}</tool_call>', "", [{}]),
    (LLAMA3, '{"name": "look", "parameters": {"times": 2}}', "", [B]),
    (
        LLAMA3,
        '<|python_tag|>{"name": "look", "parameters": {"times": 2}}; {"name": "look", "parameters": {}}',
        "",
        [B, {}],
    ),
    (LLAMA3, '{"a": "JSON that is no call"}', '{"a": "JSON that is no call"}', []),
    (LLAMA3, 'see {"name": "look", "parameters": {}}', 'see {"name": "look", "parameters": {}}', []),
    (MISTRAL, f"[TOOL_CALLS] [{CALL_A}, {CALL_B}]", "", [A, B]),
    (MISTRAL, f"[TOOL_CALLS]{CALL_A}", "", [A]),
    (MISTRAL_NAMED, '[TOOL_CALLS]look[ARGS]{"times": 2}', "", [B]),
    (MISTRAL_NAMED, 'so [TOOL_CALLS]look[ARGS]{"times": 2}[TOOL_CALLS]look[ARGS]{}', "so", [B, {}]),
    (QWEN_CODER, f"I do.\n<tool_call>\n{ELEMENTS}\n</tool_call>", "I do.", [{"at": "5", "times": 2}]),
    (QWEN_CODER, f"<tool_call>\n{ELEMENTS}", "", [{"at": "5", "times": 2}]),
    (QWEN_CODER, "<tool_call>nothing</tool_call>", "<tool_call>nothing", []),
    (BARE, CALL_A, "", [A]),
    (BARE, "no call", "no call", []),
]


def read(style, text, cuts=(), **options):
    """Text and calls that come out when the text comes in pieces cut at these places."""
    parser = CallParser(style, TOOLS, **options)
    at, parts = 0, []
    for cut in [*sorted({min(cut, len(text)) for cut in cuts}), len(text)]:
        parts += parser.feed(text[at:cut])
        at = cut
    parts += parser.flush()
    said = "".join(part for part in parts if isinstance(part, str))
    calls: list[dict[str, str]] = []
    for delta in (part for part in parts if isinstance(part, CallDelta)):
        if delta.id is not None:
            assert delta.index == len(calls)
            calls.append({"id": delta.id, "name": delta.name, "arguments": ""})
        assert delta.index == len(calls) - 1
        calls[-1]["arguments"] += delta.arguments
    return said, calls, parser


@pytest.mark.parametrize(("style", "text", "said", "arguments"), CASES)
def test_calls_are_taken_out_of_the_text(style, text, said, arguments):
    told, calls, parser = read(style, text)
    assert told == said
    assert [json.loads(call["arguments"]) for call in calls] == arguments
    assert {call["name"] for call in calls} <= {"look"}
    assert len({call["id"] for call in calls}) == len(calls)
    assert parser.called == bool(arguments)


@given(st.sampled_from(CASES), st.lists(st.integers(0, 120)))
def test_it_does_not_matter_in_which_pieces_a_text_comes(case, cuts):
    style, text, said, arguments = case
    told, calls, _ = read(style, text, cuts)
    assert [json.loads(call["arguments"]) for call in calls] == arguments
    assert told.split() == said.split()


@given(
    st.sampled_from([HERMES, LLAMA3, MISTRAL, MISTRAL_NAMED, QWEN_CODER, BARE]),
    st.lists(
        st.sampled_from(
            [
                "<tool_call>",
                "</tool_call>",
                "[TOOL_CALLS]",
                "[ARGS]",
                "{",
                "}",
                '"',
                ":",
                ",",
                '"name"',
                '"arguments"',
                "[",
                "]",
                ";",
                "look",
                " ",
                "\\",
                "<function=look>",
                "<parameter=at>",
                "</parameter>",
                "</function>",
            ]
        )
    ),
    st.lists(st.integers(0, 60)),
)
def test_nothing_that_a_model_writes_raises(style, words, cuts):
    read(style, "".join(words), cuts)


def test_arguments_come_as_they_are_written():
    parser = CallParser(HERMES, TOOLS)
    seen = []
    for character in f"<tool_call>{CALL_A}":
        seen += [part.arguments for part in parser.feed(character) if isinstance(part, CallDelta)]
    assert len(seen) > 5
    assert json.loads("".join(seen)) == A


def test_an_answer_for_one_call_ends_with_its_first():
    said, calls, parser = read(
        HERMES, f"<tool_call>{CALL_A}</tool_call><tool_call>{CALL_B}</tool_call> more", single=True
    )
    assert (said, len(calls), parser.finished) == ("", 1, True)


def test_a_call_that_breaks_off_after_its_name_is_told_as_far_as_it_came():
    said, calls, _ = read(HERMES, '<tool_call>{"name": "look", "arguments": {"at": "the')
    assert (said, calls[0]["arguments"]) == ("", '{"at": "the')


@pytest.mark.parametrize(
    ("template", "style"),
    [
        ("tools <tool_call>", HERMES),
        ("tools <tool_call> <function=", QWEN_CODER),
        ("tools [TOOL_CALLS]", MISTRAL),
        ("tools [TOOL_CALLS] [ARGS]", MISTRAL_NAMED),
        ("tools <|python_tag|>", LLAMA3),
        ("tools ipython", LLAMA3),
        ("tools", BARE),
        ("none", None),
    ],
)
def test_the_style_is_known_by_the_template(template, style):
    assert style_of(template) is style


def test_arguments_that_are_nested_without_end_raise_nothing():
    deep = '{"name": "look", "arguments": {"at": ' + "[" * 5000 + "]" * 5000 + "}}"
    read(HERMES, f"<tool_call>{deep}</tool_call>")
    read(QWEN_CODER, f"<tool_call><function=look><parameter=times>{'[' * 5000}</parameter></function></tool_call>")
