"""Figures of models that nobody in the colony has: read from the beginnings of their files, where these are."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

import msgspec

from rbee.builtin.one_thread import OneThread
from rbee.catalog import Resolver
from rbee.catalog.answers import Answers
from rbee.catalog.cancel import Cancel
from rbee.catalog.inspection import Inspector
from rbee.contract.errors import ModelFileError, RbeeError, UnreachableError
from rbee.contract.figures import ModelFigures
from rbee.contract.formats.configs import CONFIG, Config, figures_of
from rbee.contract.http_vendor import HttpModelVendor
from rbee.contract.types import ModelFile, ModelVariant
from rbee.scheduler import completed, estimate, shared

log = logging.getLogger(__name__)

_STEPS = (256 * 1024, 1024 * 1024)
"""Bytes of a file that are read: the first are enough for most models."""

_LARGEST_CONFIG = 1024 * 1024
_DEADLINE_S = 15.0
_FAILED_S = 30.0
_REMEMBERED = 1000
_HEADS = frozenset({"gguf"})
"""Formats whose figures stand at the beginning of the file itself."""


class RemoteFigures:
    """Asks the vendor's source once a revision of a model, for all who want to know; a failure is told for a while.

    Args:
        resolver: the vendors.
        inspector: reads heads in a process of its own.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        resolver: Resolver,
        inspector: Inspector | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._inspector = inspector or Inspector()
        self._read: Answers[ModelVariant, ModelFigures | None] = Answers(
            self._look, clock, fresh_s=math.inf, failed_s=_FAILED_S, most=_REMEMBERED
        )

    async def of(self, variant: ModelVariant) -> ModelFigures | None:
        """What the beginning of a variant's files tells; None where that cannot be read, for a list of models in files.

        Raises:
            RbeeError: its source does not answer, refuses, or has no such model.
        """
        vendor = self._resolver.vendor(variant.vendor)
        if not isinstance(vendor, HttpModelVendor) or variant.in_place is not None or not variant.files:
            return None
        # What is known besides is no other question.
        return await self._read.get(msgspec.structs.replace(variant, figures=None))

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._read.close()

    async def _look(self, variant: ModelVariant) -> ModelFigures | None:
        vendor = self._resolver.vendor(variant.vendor)
        if not isinstance(vendor, HttpModelVendor):
            return None
        config = next((file for file in variant.files if file.name == CONFIG), None)
        if config is not None:
            return _figures_in(await self._bytes(vendor, variant, config, _LARGEST_CONFIG))
        if variant.format not in _HEADS:
            return None
        file = variant.files[0]
        found = ModelFigures()
        for length in _STEPS:
            data = await self._bytes(vendor, variant, file, length)
            head = await self._inspector.head_of_bytes(variant.format, data, file.name)
            found = head.figures
            alone = len(variant.files) == 1 and not head.split_count
            # Of several parts each tells its own weights alone.
            found = msgspec.structs.replace(found, chat_template=None) if alone else shared(found)
            told = msgspec.structs.replace(variant, figures=completed(found, variant.figures or ModelFigures()))
            if not estimate(told).rough or len(data) < length:
                break
        return found

    async def _bytes(self, vendor: HttpModelVendor, variant: ModelVariant, file: ModelFile, length: int) -> bytes:
        """The first bytes of a file; a source that takes too long is left alone."""
        cancel = Cancel()
        thread = OneThread(f"head of {variant.model_id}")

        def read() -> bytes:
            # Imported late: the queen starts without it, and most of her lives need it never.
            from rbee.contract.transfer import read_range

            return read_range(vendor.source(variant, file), 0, length, cancel)

        try:
            async with asyncio.timeout(_DEADLINE_S):
                return await thread.call(read)
        except TimeoutError as error:
            raise UnreachableError(
                f"Vendor {vendor.name!r} did not give the beginning of {file.name!r} within {_DEADLINE_S:g} s."
            ) from error
        except RbeeError:
            raise
        except Exception as error:
            log.exception("model vendor %r could not say where %r is", vendor.name, file.name)
            raise UnreachableError(f"Vendor {vendor.name!r} failed to give {file.name!r}: {error!r}.") from error
        finally:
            cancel.cancel()
            thread.close()


def _figures_in(config: bytes) -> ModelFigures:
    """Figures of a model's configuration.

    Raises:
        ModelFileError: it is none.
    """
    try:
        return figures_of(msgspec.json.decode(config, type=Config))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise ModelFileError(f"The model's {CONFIG!r} is no configuration: {error}.") from error
