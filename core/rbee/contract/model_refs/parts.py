"""The parts that names of models are made of, each checked."""

from __future__ import annotations

import re

from rbee.contract.model_refs.quantizations import looks_like_quantization
from rbee.contract.model_refs.refusal import RefusedError, shown

MODEL_SUFFIXES = (".gguf", ".safetensors")
FILE_SUFFIXES = (
    *MODEL_SUFFIXES,
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".onnx",
    ".npz",
    ".json",
    ".zip",
    ".tar",
    ".gz",
    ".tgz",
)
"""What a file's name ends with; a repository's name may well hold a dot."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,127}")
_SIZE = re.compile(r"[Ee]?\d{1,4}(?:[Xx]\d{1,4})?(?:\.\d{1,3})?[BbMm](?:[-_.][A-Za-z0-9._-]{0,95})?")
_NEWEST = "latest"

_LONGEST_NAME = 96
_LONGEST_REVISION = 200
_LONGEST_FILE = 1024
_LONGEST_FILE_PART = 255


def is_tag(text: str) -> bool:
    """Whether a text says which size of a model is meant: ``1b``, ``8x7b``, ``8b-instruct``, ``latest``."""
    return text.lower() == _NEWEST or _SIZE.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Whether a text ends as files do."""
    return text.lower().endswith(FILE_SUFFIXES)


def checked_name(text: str, what: str) -> str:
    """An organisation's, a repository's or a model's name.

    Raises:
        RefusedError: it is none.
    """
    if not text:
        raise RefusedError(f"has no {what}")
    if not _NAME.fullmatch(text) or ".." in text:
        if len(text) > _LONGEST_NAME:
            raise RefusedError(f"has {len(text)} characters for its {what}; {_LONGEST_NAME} is the most")
        raise RefusedError(
            f"has {shown(text)} for its {what}, where only letters, digits, '.', '_' and '-' may stand, "
            "a letter or a digit first, and no '..'"
        )
    return text


def checked_word(text: str) -> str:
    """A model's name that stands alone.

    Raises:
        RefusedError: it is none, or the quantisation or size of a model that is not named.
    """
    checked_name(text, "name")
    if quantization := looks_like_quantization(text):
        raise RefusedError("is a quantisation without a model", shape=f"org/repo:{quantization}")
    if is_tag(text):
        raise RefusedError("is the size of a model without its name", shape=f"name:{text}")
    return text


def checked_revision(text: str) -> str:
    """A branch, a tag or a commit.

    Raises:
        RefusedError: it is none.
    """
    parts = text.split("/")
    if len(text) > _LONGEST_REVISION:
        raise RefusedError(f"has a revision of {len(text)} characters; {_LONGEST_REVISION} is the most")
    if is_file_name(text):
        raise RefusedError(f"has a file {shown(text)} for its revision")
    if ".." in text or not all(map(_REVISION_PART.fullmatch, parts)):
        raise RefusedError(
            f"has a revision {shown(text)} that is none; one is a branch, a tag or a commit, as 'refs/pr/3'"
        )
    return text


def checked_file(text: str) -> str:
    """A file within a repository.

    Raises:
        RefusedError: it is none, or does not stay within its repository.
    """
    if not text:
        raise RefusedError("ends before the name of a file")
    if len(text) > _LONGEST_FILE:
        raise RefusedError(f"has a file's name of {len(text)} characters; {_LONGEST_FILE} is the most")
    parts = text.split("/")
    if ".." in parts or "." in parts or text.startswith("/"):
        raise RefusedError(f"has a file {shown(text)} that does not stay within the repository")
    if not text.isprintable() or not all(map(_is_file_part, parts)):
        raise RefusedError(f"has a file {shown(text)} whose name no repository has")
    return text


def _is_file_part(part: str) -> bool:
    return 0 < len(part) <= _LONGEST_FILE_PART and part == part.strip() and not set(part) & set('\\:*?"<>|')
