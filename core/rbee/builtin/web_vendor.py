"""Files anywhere on the web, by their address and checksum."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from rbee.contract.errors import InvalidRequestError, ModelFileError, ModelNotFoundError
from rbee.contract.http_vendor import FileSource, HttpModelVendor
from rbee.contract.model_refs import parse_ref, quantization_in
from rbee.contract.types import ModelFile, ModelVariant

_SUFFIX = ".gguf"
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_PIECE = re.compile(r"-\d{5}-of-\d{5}\.gguf", re.IGNORECASE)
_ODD = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST_NAME = 150


class WebVendor(HttpModelVendor):
    """``https://host/path/file.gguf#sha256=...``: one file, which must have that checksum.

    Nothing else says what lies behind an address, now or tomorrow, so one without a checksum is not taken.
    """

    name = "url"
    names_anything = True

    def supports(self, ref: str) -> bool:
        if not _ADDRESS.match(ref):
            return False
        try:
            return parse_ref(ref).kind == "url"
        except InvalidRequestError:
            # Nobody else has a better word for what is wrong with it.
            return True

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        # Imported late: most programs that know a vendor never ask it.
        from rbee.contract.transfer import NEVER, find_size

        _check(ref)
        model_id = parse_ref(ref).canonical(self.name)
        url, _, fragment = model_id.partition("#")
        source = FileSource(url=url)
        last = unquote(url.rpartition("/")[2])
        if not last.lower().endswith(_SUFFIX):
            raise InvalidRequestError(
                f"{last!r} is not a model file that can be fetched by its address; GGUF files can, whose names end "
                f"in '{_SUFFIX}'.",
                param="model",
            )
        if _PIECE.search(last):
            raise ModelFileError(
                f"{last!r} is one piece of several, and an address names one file only. "
                "Put the pieces together with the tool that split them, or take the model from a hub."
            )
        try:
            size = find_size(source, NEVER)
        except ModelNotFoundError as error:
            raise ModelNotFoundError(f"There is no file at '{model_id}'; check the address.") from error
        file = ModelFile(name=_file_name(last), size_bytes=size, sha256=fragment.removeprefix("sha256="))
        return (
            ModelVariant(
                model_id=model_id,
                name=model_id,
                vendor=self.name,
                format="gguf",
                files=(file,),
                quantization=quantization_in(last),
            ),
        )

    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        return FileSource(url=variant.model_id.partition("#")[0])


def _check(ref: str) -> None:
    """See that an address has a checksum and cannot be listened to."""
    from rbee.contract.transfer import is_loopback

    url, mark, _ = ref.partition("#")
    if not mark and "?" not in url and "@" not in url:
        raise InvalidRequestError(
            f"'{url}' is an address without a checksum; write it as '{url}#sha256=<64 hex digits>'. "
            "Where it comes from may show it; else `sha256sum FILE` prints it for a copy that you trust.",
            param="model",
        )
    if url.lower().startswith("http://") and not is_loopback(url):
        raise InvalidRequestError(
            f"'{url}' is not encrypted: anybody on the way can see and hold up what is fetched; "
            f"write it as 'https{url[4:]}'.",
            param="model",
        )


def _file_name(last: str) -> str:
    """What the file is called here: the end of its name, of letters that every disk takes."""
    stem = _ODD.sub("-", last[: -len(_SUFFIX)])[-_LONGEST_NAME:].strip("-.")
    return f"{stem or 'model'}{_SUFFIX}"
