"""Where the models come from: they lie in this package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rbee.contract import CancelToken, FetchProgress, ModelVariant, ModelVendor
from rbee.contract.errors import ModelNotFoundError

_DATA = Path(__file__).parent / "data"
_NAME = re.compile(r"example:[a-z0-9-]{1,60}\Z")


class ExampleVendor(ModelVendor):
    """``example:NAME`` is the file ``NAME.txt`` of this package."""

    name = "example"

    def supports(self, ref: str) -> bool:
        """Whether a name is in this vendor's grammar; whether there is such a model is for `resolve`."""
        return _NAME.match(ref) is not None

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """The model of that name.

        Raises:
            ModelNotFoundError: there is none.
        """
        path = _DATA / f"{ref.partition(':')[2]}.txt"
        if not path.is_file():
            names = ", ".join(sorted(one.stem for one in _DATA.glob("*.txt")))
            raise ModelNotFoundError(f"There is no model {ref!r}. There are: {names}.")
        return (ModelVariant(model_id=ref, name=ref, vendor=self.name, format="example", in_place=str(path)),)

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        """Nothing: what lies in place is never fetched."""
        raise AssertionError("models that lie in place are never fetched")

    def known(self) -> Sequence[ModelVariant]:
        """All of them."""
        return [one for path in sorted(_DATA.glob("*.txt")) for one in self.resolve(f"example:{path.stem}")]
