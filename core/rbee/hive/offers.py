"""What another hive says of a model, checked before it is believed: all but the bytes, which have checksums."""

from __future__ import annotations

import re

import msgspec

from rbee.catalog.layout import checked_names, folder_name
from rbee.contract.bounds import check_texts
from rbee.contract.checksums import content_key
from rbee.contract.errors import InvalidRequestError, ModelFileError
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.wire import ModelStanding

_MOST_FILES = 10_000
_LARGEST_BYTES = 1 << 44
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_OID = re.compile(r"[0-9a-f]{40}")


def answers(standing: ModelStanding, hive_id: str, model_id: str) -> bool:
    """Whether it is that hive's word on that model: by its name another may answer, or this one itself."""
    told = (standing.hive_id, standing.key, standing.variant.model_id)
    return told == (hive_id, folder_name(model_id), model_id)


def same_content(theirs: ModelVariant, ours: ModelVariant) -> bool:
    """Whether their files are ours, by content."""
    there = {file.name: content_key(file) for file in theirs.files}
    return all(there.get(file.name) == content_key(file) for file in ours.files)


def checked(standing: ModelStanding, hive_id: str, model_id: str) -> ModelVariant:
    """The model that a hive offers, to be entered here as it says.

    Args:
        standing: its answer.
        hive_id: which was asked.
        model_id: for what.

    Raises:
        ModelFileError: it is another's answer, or a model that no honest hive offers.
    """
    variant = standing.variant
    why = None if answers(standing, hive_id, model_id) else "it answers for another hive or model"
    if why is None and variant.in_place is not None:
        # A path of that machine would be taken for one of this.
        why = "it says where the files lie"
    if why is None and not 0 < len(variant.files) <= _MOST_FILES:
        why = "it has no files that could be copied" if not variant.files else f"it has {len(variant.files)} files"
    why = why or next((told for file in variant.files if (told := _wrong(file)) is not None), None)
    if why is None:
        why = _wrong_names(variant)
    if why is not None:
        raise ModelFileError(f"The model {model_id!r} is not taken from hive {hive_id!r}: {why}.")
    # Figures are read in the files themselves, once these are here.
    return msgspec.structs.replace(variant, figures=None)


def _wrong(file: ModelFile) -> str | None:
    if file.size_bytes is None or not 0 <= file.size_bytes <= _LARGEST_BYTES:
        return f"the file {file.name[:200]!r} has no size that can be"
    sums = ((file.sha256, _SHA256), (file.git_oid, _GIT_OID))
    if content_key(file) is None or any(one is not None and not form.fullmatch(one) for one, form in sums):
        return f"the file {file.name[:200]!r} has no checksum that can be"
    return None


def _wrong_names(variant: ModelVariant) -> str | None:
    try:
        checked_names(variant)
        check_texts(
            name=variant.name,
            vendor=variant.vendor,
            format=variant.format,
            quantization=variant.quantization,
            revision=variant.revision,
            **{f"file {number}": file.name for number, file in enumerate(variant.files, 1)},
        )
    except (ModelFileError, InvalidRequestError) as error:
        return error.message.rstrip(".")
    return None
