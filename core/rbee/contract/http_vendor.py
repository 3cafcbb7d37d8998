"""What a vendor writes whose files are fetched by HTTP."""

from __future__ import annotations

import ssl
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rbee.contract.errors import ModelNotFoundError, PermissionDeniedError, RbeeError, UnreachableError
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import CancelToken, FetchProgress, ModelVendor


class FileSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file is.

    Attributes:
        url: ``https://...``, or ``http://`` where the vendor knows what it does.
        headers: sent to the origin of `url` alone, never to one that it redirects to: a token may stand in them.
        direct: proxies of the environment are not for it.
        trust: whom to trust instead of the system's authorities, and what to show; for direct ones.
        server_name: under which the server proves who it is; None for the host of `url`.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    direct: bool = False
    trust: ssl.SSLContext | None = None
    server_name: str | None = None


class HttpModelVendor(ModelVendor):
    """A vendor that says where files are; rbee fetches them.

    Done for it: resuming after a cut line, a crash or a cancel (``Range``, ``If-Range``), another try where that makes
    sense (``Retry-After`` is kept), proxies of the environment, redirects, limits of time, verification on the way.

    A whole plugin::

        class ShelfVendor(HttpModelVendor):
            name = "shelf"
            names_anything = True

            def supports(self, ref):
                return ref.startswith("shelf:")

            def resolve(self, ref):
                file = ModelFile(name="model.gguf", size_bytes=4_812_288, sha256="450c2c8c...")
                return (ModelVariant(model_id=ref, name=ref, vendor=self.name, format="gguf", files=(file,)),)

            def source(self, variant, file):
                return FileSource(url=f"https://shelf.example/{variant.model_id[6:]}/{file.name}")
    """

    @abstractmethod
    def source(self, variant: ModelVariant, file: ModelFile) -> FileSource:
        """Where a file of a variant is.  Asked anew for each try: an address may be good for a short time only.

        May block and use the network.  Raises as `resolve` does.
        """

    def refusal(self, variant: ModelVariant, file: ModelFile, status: int, headers: Mapping[str, str]) -> RbeeError:
        """The error for a person when the source refuses a file for good.

        Args:
            variant: of which model.
            file: which.
            status: HTTP status, 400 to 499, or 300 to 399 for a redirect that leads nowhere.
            headers: of the answer, names in lower case.
        """
        what = f"{file.name!r} of {variant.name!r}"
        if status in {401, 403}:
            return PermissionDeniedError(f"Vendor {self.name!r} does not give out {what} (HTTP {status}).")
        if status in {404, 410}:
            return ModelNotFoundError(f"Vendor {self.name!r} has no {what} (HTTP {status}).")
        return UnreachableError(f"Vendor {self.name!r} refused {what} with HTTP {status}.")

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        """Bring the files by `rbee.contract.transfer`; nothing to be written by a vendor."""
        # Imported late: most programs that know a vendor never fetch.
        from rbee.contract.transfer import fetch_files

        fetch_files(self, variant, destination, progress, cancel)
