"""What a name of a model says, taken apart."""

from __future__ import annotations

from typing import Literal

import msgspec

RefKind = Literal["path", "url", "hub", "name"]


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """A name of a model.

    Attributes:
        kind: ``path`` on this machine; ``url`` of one file with its checksum; ``hub`` for an organisation's
            repository; ``name`` for one word, which may be an alias or whatever a vendor calls its models.
        scheme: what stood before the first colon, in lower case, as ``hf``; None where nothing did.
        host: of a hub or an address, as ``hub.example``, in lower case; None where none was named.
        repository: path, address without its fragment, ``org/repo``, or the word.
        revision: branch, tag or commit.
        file: within the repository, with forward slashes.
        quantization: in upper case, as ``Q4_K_M``; never together with `file`.
        tag: what follows the colon of a word and is no quantisation, as ``1b``.
        sha256: of an address's file, lower-case hex.
    """

    kind: RefKind
    repository: str
    scheme: str | None = None
    host: str | None = None
    revision: str | None = None
    file: str | None = None
    quantization: str | None = None
    tag: str | None = None
    sha256: str | None = None

    def canonical(self, scheme: str) -> str:
        """The one name for what this means; parsed again it gives the same name.

        Args:
            scheme: of the vendor that has it, as ``hf``; an address needs none and stays an address.
        """
        if self.kind == "url":
            return f"{self.repository}#sha256={self.sha256}"
        text = f"{scheme}:{self.repository}"
        if self.revision is not None:
            text += f"@{self.revision}"
        if self.file is not None:
            return f"{text}::{self.file}"
        last = self.quantization or self.tag
        return text if last is None else f"{text}:{last}"
