"""Chat templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.contract.errors import InvalidRequestError, ModelFileError
from rbee.contract.folder_tokenizer import FolderTokenizer
from rbee.testing.models import shared_models
from rbee.worker.tokens.template import ChatTemplate

USER = {"role": "user", "content": "hi"}
PLAIN = "{% for message in messages %}{{ message.role }}:{{ message.content }};{% endfor %}"


def rendered(source, messages=(USER,), **options):
    return ChatTemplate(source, {"bos_token": "<s>"}).render(messages, **options)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}{{ messages[0].content }}", "<s>hi"),
        ("{% if add_generation_prompt %}>{% endif %}", ">"),
        ("{{ messages | tojson }}", '[{"role": "user", "content": "hi"}]'),
        (
            '{{ {"a": "\N{LATIN SMALL LETTER U WITH DIAERESIS}<b>"} | tojson }}',
            '{"a": "\N{LATIN SMALL LETTER U WITH DIAERESIS}<b>"}',
        ),
        ("{{ {'a': 1} | tojson(indent=2) }}", '{\n  "a": 1\n}'),
        ("{% for m in [1, 2, 3] %}{% if m == 2 %}{% continue %}{% endif %}{{ m }}{% endfor %}", "13"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "hi"),
        ("{% if tools is defined and tools %}tools{% else %}none{% endif %}", "none"),
        ("  {% if true %}\nx\n  {% endif %}\n", "x\n"),
    ],
)
def test_what_templates_of_models_use_is_there(source, text):
    assert rendered(source) == text


def test_a_day_can_be_written():
    assert len(rendered("{{ strftime_now('%Y-%m-%d') }}")) == 10


def test_what_a_template_refuses_is_told():
    with pytest.raises(InvalidRequestError, match="only two roles") as caught:
        rendered("{{ raise_exception('only two roles') }}")
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ messages.append(1) }}",
        "{% for a in range(99999999) %}{% endfor %}",
        "{{ none.x.y }}",
        "{{ 1 // 0 }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(source):
    with pytest.raises(InvalidRequestError):
        rendered(source)


@pytest.mark.parametrize("source", ["{% if %}", "{{ x", "x" * 2_000_000])
def test_what_is_no_template_is_refused_when_the_model_loads(source):
    with pytest.raises(ModelFileError):
        ChatTemplate(source, {})


def test_an_unfinished_message_of_the_assistant_is_the_end_of_the_text():
    said = {"role": "assistant", "content": "  the ans"}
    source = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}[end]{% endfor %}"
    assert rendered(source, [USER, said], continues=True) == "[user]hi[end][assistant]  the ans"
    with pytest.raises(InvalidRequestError, match="does not show"):
        rendered("{{ messages[0].content }}", [USER, said], continues=True)


def test_a_developer_is_the_system_to_templates_that_know_none():
    messages = [{"role": "developer", "content": "x"}]
    assert rendered(PLAIN, messages) == "system:x;"
    assert rendered(PLAIN + "{# developer #}", messages) == "developer:x;"


def test_variables_of_a_request_are_seen_and_cannot_replace_what_is_given():
    assert rendered("{{ enable_thinking }}", variables={"enable_thinking": False}) == "False"
    assert rendered("{{ bos_token }}", variables={"bos_token": "x"}) == "<s>"


def test_a_template_is_known_to_write_tools_down_or_not():
    assert ChatTemplate("{{ tools }}", {}).tools
    assert not ChatTemplate(PLAIN, {}).tools


def test_a_real_model_s_template_writes_tools_calls_and_results():
    tokenizer = FolderTokenizer(shared_models(Path(__file__)) / "hf")
    template = ChatTemplate(tokenizer.template, tokenizer.words)
    call = {"type": "function", "function": {"name": "look", "arguments": {"at": "x"}}}
    text = template.render(
        [USER, {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "sunny"}],
        tools=[{"type": "function", "function": {"name": "look"}}],
    )
    assert 'Tools:\n{"name": "look"}' in text
    assert '<tool_call>\n{"name": "look", "arguments": {"at": "x"}}\n</tool_call>' in text
    assert text.endswith("<tool_response>\nsunny\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
