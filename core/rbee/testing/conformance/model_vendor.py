"""The promises of `rbee.contract.ModelVendor`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rbee.contract import ModelVariant, ModelVendor
from rbee.contract.errors import CancelledByCallerError, ModelNotFoundError
from rbee.testing.cancel import Cancel
from rbee.testing.conformance.promises import Promises

ODD_REFS = (
    "",
    " ",
    ":",
    "::",
    "/",
    "//",
    "\x00",
    "a\x00b",
    "~",
    "~nobody-of-this-name/x",
    "é:ü",
    "../" * 50,
    "x" * 10_000,
)


class ModelVendorContract(Promises, kit=True):
    """Subclass it and give the fixtures `vendor`, `good_ref` and `bad_ref`."""

    @pytest.fixture
    def vendor(self) -> ModelVendor:
        """The vendor under test, made afresh."""
        raise NotImplementedError("give the fixture `vendor`: return YourVendor()")

    @pytest.fixture
    def good_ref(self) -> str:
        """A name the vendor resolves, without network and small enough to be fetched in a test."""
        raise NotImplementedError("give the fixture `good_ref`: a name that resolves")

    @pytest.fixture
    def bad_ref(self) -> str:
        """A name in the vendor's grammar behind which there is no model."""
        raise NotImplementedError("give the fixture `bad_ref`: a name that does not resolve")

    @pytest.fixture
    def variant(self, vendor: ModelVendor, good_ref: str) -> ModelVariant:
        """The vendor's first choice for `good_ref`."""
        return vendor.resolve(good_ref)[0]

    def test_the_vendor_has_a_name_of_its_own(self, vendor: ModelVendor) -> None:
        """A name is a word that can stand before a colon."""
        name = type(vendor).name
        assert isinstance(name, str)
        assert name
        assert ":" not in name
        assert name == name.strip().lower()

    def test_supports_takes_odd_strings_without_raising(self, vendor: ModelVendor) -> None:
        """`supports` is asked about everything a person may type."""
        for ref in ODD_REFS:
            assert vendor.supports(ref) in {True, False}, f"supports({ref[:40]!r}) must answer True or False"

    def test_supports_accepts_both_the_good_and_the_bad_ref(
        self, vendor: ModelVendor, good_ref: str, bad_ref: str
    ) -> None:
        """`supports` judges grammar alone; whether the model exists is for `resolve`."""
        assert vendor.supports(good_ref)
        assert vendor.supports(bad_ref)

    def test_resolved_variants_belong_to_the_vendor(self, vendor: ModelVendor, good_ref: str) -> None:
        """Every variant carries what the catalogue needs to hold or open it."""
        variants = vendor.resolve(good_ref)
        assert variants, "resolve returns at least one variant or raises ModelNotFoundError"
        for variant in variants:
            assert variant.vendor == type(vendor).name
            assert variant.format
            assert variant.model_id
            assert variant.name
            assert variant.files or variant.in_place, "a variant needs files to fetch or a place where it is"
            for file in variant.files:
                parts = Path(file.name).parts
                assert not Path(file.name).is_absolute()
                assert ".." not in parts
                assert "\\" not in file.name
        assert len({variant.model_id for variant in variants}) == len(variants), "canonical names differ"

    def test_a_canonical_name_resolves_to_the_same_variant(self, vendor: ModelVendor, variant: ModelVariant) -> None:
        """A canonical `model_id` is a name too, and means the very same files."""
        assert vendor.supports(variant.model_id)
        assert vendor.resolve(variant.model_id)[0] == variant

    def test_an_unknown_model_is_not_found(self, vendor: ModelVendor, bad_ref: str) -> None:
        """The error of an unknown model names it."""
        with pytest.raises(ModelNotFoundError) as caught:
            vendor.resolve(bad_ref)
        assert bad_ref.rsplit(":", maxsplit=1)[-1].rsplit("/", maxsplit=1)[-1] in caught.value.message

    def test_fetch_brings_every_file_whole(self, vendor: ModelVendor, variant: ModelVariant, tmp_path: Path) -> None:
        """Sizes and checksums are those promised by `resolve`, and progress never passes its total."""
        if variant.in_place is not None:
            assert Path(variant.in_place).exists()
            return
        seen: list[tuple[int, int | None]] = []
        vendor.fetch(variant, tmp_path, lambda done, total: seen.append((done, total)), Cancel())
        self._check_files(variant, tmp_path)
        assert all(done >= 0 and (total is None or done <= total) for done, total in seen)

    def test_a_cancelled_fetch_raises_and_the_next_one_succeeds(
        self, vendor: ModelVendor, variant: ModelVariant, tmp_path: Path
    ) -> None:
        """Cancelled before and after the first progress; what it leaves behind must not harm the next try."""
        if variant.in_place is not None:
            return
        early, late = Cancel(), Cancel()
        early.cancel()
        with pytest.raises(CancelledByCallerError):
            vendor.fetch(variant, tmp_path, lambda _done, _total: None, early)
        with pytest.raises(CancelledByCallerError):
            vendor.fetch(variant, tmp_path, lambda _done, _total: late.cancel(), late)
        vendor.fetch(variant, tmp_path, lambda _done, _total: None, Cancel())
        self._check_files(variant, tmp_path)

    def test_known_models_resolve(self, vendor: ModelVendor) -> None:
        """What a list shows can be had by the name shown and by the canonical one."""
        for variant in vendor.known():
            assert vendor.supports(variant.name)
            assert variant in vendor.resolve(variant.model_id)

    @staticmethod
    def _check_files(variant: ModelVariant, folder: Path) -> None:
        for file in variant.files:
            path = folder / file.name
            assert path.is_file(), f"fetch did not bring {file.name!r}"
            if file.size_bytes is not None:
                assert path.stat().st_size == file.size_bytes
            if file.sha256 is not None:
                with path.open("rb") as opened:
                    assert hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
