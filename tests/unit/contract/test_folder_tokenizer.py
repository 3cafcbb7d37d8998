"""The tokenizer of a model's folder."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.errors import ModelFileError
from rbee.contract.folder_tokenizer import FolderTokenizer
from rbee.testing.models import shared_models
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

TEXTS = ["Hello wörld \N{HONEYBEE}", " a\n\tb", "", "\N{COMBINING ACUTE ACCENT}x", "<|im_end|>"]


@pytest.fixture(scope="module")
def tiny() -> FolderTokenizer:
    return FolderTokenizer(shared_models(Path(__file__)) / "hf")


def spm_folder(folder: Path, **config: object) -> Path:
    """A vocabulary in the manner of SentencePiece, with bytes to fall back on."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "\u2581hi", "h", "i"]
    vocabulary = {word: number for number, word in enumerate(words)}
    library = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=[("h", "i")] if "hi" in vocabulary else [], byte_fallback=True, unk_token="<unk>"
        )
    )
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    library.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    library.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>"}, **config})
    )
    return folder


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_of_a_text_are_the_text(tiny, text, special):
    assert b"".join(map(tiny.piece, tiny.encode(text, special=special))).decode() == text


@given(st.text())
def test_any_text_comes_back(text):
    tokenizer = FolderTokenizer(shared_models(Path(__file__)) / "hf")
    assert b"".join(map(tokenizer.piece, tokenizer.encode(text, special=False))) == text.encode()


def test_names_of_special_tokens_are_tokens_or_text_as_asked(tiny):
    assert tiny.encode("<|im_end|>") == [2]
    assert 2 not in tiny.encode("<|im_end|>", special=False)


def test_both_ways_of_reading_may_be_used_at_the_same_time(tiny):
    wrong = []

    def read(special):
        wanted = tiny.encode("<|im_end|>", special=special)
        wrong.extend(1 for _ in range(300) if tiny.encode("<|im_end|>", special=special) != wanted)

    threads = [threading.Thread(target=read, args=(flag,)) for flag in (True, False, True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_folders_files_say_what_ends_an_answer_and_how_a_conversation_is_written(tiny):
    assert (tiny.size, tiny.ends, tiny.control, tiny.before) == (2048, {0, 2}, {0, 1, 2, 3}, ())
    assert "tool_call" in tiny.template
    assert tiny.words["eos_token"] == "<|im_end|>"
    assert (tiny.piece(-1), tiny.piece(99_999)) == (b"", b"")


def test_bytes_to_fall_back_on_are_bytes_and_word_borders_spaces(tmp_path):
    tokenizer = FolderTokenizer(spm_folder(tmp_path))
    tokens = tokenizer.encode("hi \N{HONEYBEE}", special=False)
    assert b"".join(map(tokenizer.piece, tokens)).decode() == " hi \N{HONEYBEE}"
    assert tokenizer.before == (1,)
    assert tokenizer.ends == {2}
    assert tokenizer.template is None


def test_a_beginning_is_left_out_where_the_configuration_says_so(tmp_path):
    assert FolderTokenizer(spm_folder(tmp_path, add_bos_token=False)).before == ()


def test_of_several_templates_the_default_one_is_taken(tmp_path):
    several = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]
    assert FolderTokenizer(spm_folder(tmp_path, chat_template=several)).template == "plain"
    (tmp_path / "chat_template.jinja").write_text("own")
    assert FolderTokenizer(tmp_path).template == "own"


def test_a_folder_without_the_file_is_refused_by_name(tmp_path):
    with pytest.raises(ModelFileError, match=rf"{tmp_path.name}' has no 'tokenizer.json'"):
        FolderTokenizer(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_a_file_that_is_junk_is_refused_by_name(tmp_path, name):
    source = shared_models(Path(__file__)) / "hf"
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copyfile(source / file, tmp_path / file)
    (tmp_path / name).write_bytes(b"\xffjunk")
    with pytest.raises(ModelFileError, match=name):
        FolderTokenizer(tmp_path)
