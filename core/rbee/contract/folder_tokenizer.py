"""The tokenizer of a model's folder: ``tokenizer.json`` and the small files beside it.

Formats: ``tokenizer.json`` of the `tokenizers` library; ``tokenizer_config.json``, ``generation_config.json``,
``config.json`` and ``chat_template.jinja`` as `transformers` writes them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rbee.contract.errors import EngineUnavailableError, ModelFileError
from rbee.contract.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_ENDS_OF_TURNS = frozenset(
    {
        "<|im_end|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|end_of_text|>",
        "<|endoftext|>",
        "<|return|>",
        "<|call|>",
        "<|END_OF_TURN_TOKEN|>",
        "<end_of_turn>",
        "<turn|>",
        "</s>",
        "[EOS]",
    }
)
"""Special tokens that end an answer in every model that has them, also where its files forget to say so."""


class FolderTokenizer(Tokenizer):
    """Reads the files at once; quick but for vocabularies of 100,000 tokens and more, which take about a second.

    Args:
        folder: of the model.

    Raises:
        EngineUnavailableError: the `tokenizers` library is missing.
        ModelFileError: a file is missing or not what its name says.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tokenizer.json"
        self._library = _open(self._path)
        told = _json(folder / "tokenizer_config.json")
        vocabulary = self._library.get_vocab(with_added_tokens=True)
        added = self._library.get_added_tokens_decoder()
        self.size = max(vocabulary.values(), default=-1) + 1
        self._pieces = [b""] * self.size
        piece = _pieces_of(self._library)
        for text, token in vocabulary.items():
            self._pieces[token] = text.encode() if token in added else piece(text, token)
        named = {
            name: word for name, value in told.items() if name.endswith("_token") and (word := _word(value)) is not None
        }
        special = {token for token, word in added.items() if word.special}
        known = {token for token in special if added[token].content in _ENDS_OF_TURNS}
        said = {*_ids(folder / "generation_config.json"), *_ids(folder / "config.json")}
        if (end := vocabulary.get(named.get("eos_token", ""))) is not None:
            said.add(end)
        self.ends = frozenset(token for token in known | said if 0 <= token < self.size)
        self.control = frozenset(special) | self.ends
        self.before = tuple(self._before(told, vocabulary.get(named.get("bos_token", ""))))
        self.template = _template(folder, told)
        self.words = named

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """See `Tokenizer.encode`."""
        library = self._library if special else self._literal
        return list(library.encode(text, add_special_tokens=False).ids)

    @functools.cached_property
    def _literal(self) -> Library:
        """One more object: the flag is the object's, and calls of both kinds come from several threads."""
        library = _open(self._path)
        library.encode_special_tokens = True
        return library

    def piece(self, token: int) -> bytes:
        """See `Tokenizer.piece`."""
        return self._pieces[token] if 0 <= token < self.size else b""

    def _before(self, told: Mapping[str, Any], beginning: int | None) -> Iterable[int]:
        """What the library itself puts before a text."""
        if told.get("add_bos_token") is False:
            return ()
        first = [token for token in self._library.encode("").ids if token not in self.ends or token == beginning]
        if not first and told.get("add_bos_token") and beginning is not None:
            return (beginning,)
        return first


def _open(path: Path) -> Library:
    try:
        from tokenizers import Tokenizer as Library
    except ImportError:
        raise EngineUnavailableError(
            "This engine needs the library `tokenizers`. Install it: pip install 'rbee[tokens]'"
        ) from None
    if not path.is_file():
        raise ModelFileError(f"{str(path.parent)!r} has no 'tokenizer.json'; fetch the model again, with that file.")
    try:
        return Library.from_file(str(path))
    except Exception as error:  # the library raises bare exceptions
        raise ModelFileError(f"{str(path)!r} is no tokenizer: {error}.") from error


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{str(path)!r} cannot be read: {error}.") from error
    return value if isinstance(value, dict) else {}


def _ids(path: Path) -> set[int]:
    """Ends of texts that a configuration states, as one number or several."""
    said = _json(path).get("eos_token_id")
    return {one for one in (said if isinstance(said, list) else [said]) if isinstance(one, int)}


def _word(value: Any) -> str | None:
    """A special token, which stands as a text or as an object with one."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _template(folder: Path, told: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(f"{str(path)!r} cannot be read: {error}.") from error
    found = told.get("chat_template") or _json(folder / "chat_template.json").get("chat_template")
    if isinstance(found, list):  # several, each with a name
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default") or next(iter(named.values()), None)
    return found if isinstance(found, str) else None


class _Pieces:
    """What a token of the vocabulary adds to a text, by the library's decoder.

    Decoding one token alone is not enough: a library then drops leading spaces and replaces the bytes of characters
    that are spread over tokens.
    """

    def __init__(self, library: Library, kinds: frozenset[str]) -> None:
        self._library = library
        self._bytes = _byte_alphabet() if "ByteLevel" in kinds else None
        self._spaced = bool(kinds & {"ByteFallback", "Metaspace"}) or "Replace" in kinds

    def __call__(self, text: str, token: int) -> bytes:
        if self._bytes is not None:
            return b"".join(self._bytes.get(character, character.encode()) for character in text)
        if self._spaced:
            byte = _BYTE_FALLBACK.match(text)
            return bytes([int(byte[1], 16)]) if byte else text.replace(_SPACE, " ").encode()
        return self._library.decode([token], skip_special_tokens=False).encode()


def _pieces_of(library: Library) -> _Pieces:
    decoder = msgspec.json.decode(library.to_str()).get("decoder") or {}
    parts = decoder.get("decoders") or [decoder]
    return _Pieces(library, frozenset(str(part.get("type")) for part in parts))


def _byte_alphabet() -> dict[str, bytes]:
    """The printable characters that byte-level vocabularies write for the 256 bytes.

    Source: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), the code of GPT-2.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    alphabet = {chr(byte): bytes([byte]) for byte in printable}
    others = (byte for byte in range(256) if chr(byte) not in alphabet)
    return alphabet | {chr(256 + number): bytes([byte]) for number, byte in enumerate(others)}
