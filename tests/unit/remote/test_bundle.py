from __future__ import annotations

import tarfile
from pathlib import Path

import msgspec
import pytest
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError
from rbee.remote.bundle import MANIFEST, Bundle, BundleFile, Manifest, opened, read_manifest, sha256_of, verified
from rbee.remote.bundling import with_files, write


@pytest.fixture
def made(tmp_path: Path) -> Bundle:
    wheel = tmp_path / "rbee-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    file = BundleFile(path=f"wheels/{wheel.name}", size=7, sha256=sha256_of(wheel), package="rbee==1.0", local=True)
    manifest = Manifest(
        version="1.0",
        environment="1.0-abc",
        platform="linux-x86_64",
        python=None,
        packages=("rbee==1.0",),
        files=(file,),
    )
    return Bundle(manifest=manifest, places={file.path: wheel})


@pytest.mark.parametrize("name", ["out.tar", "out"])
def test_what_was_written_is_read_again_as_it_was(made: Bundle, tmp_path: Path, name: str) -> None:
    told: list[tuple[int, int]] = []
    write(made, tmp_path / name, lambda done, total: told.append((done, total)))
    assert told[-1] == (7, 7)
    assert read_manifest(tmp_path / name) == made.manifest == verified(tmp_path / name)
    with opened(tmp_path / name, tmp_path / "scratch") as found:
        (place,) = found.places.values()
        assert place.read_bytes() == b"a wheel"
    assert list((tmp_path / "scratch").glob("*")) == []


def test_models_are_files_of_the_bundle_with_the_name_of_their_model(made: Bundle, tmp_path: Path) -> None:
    weights = tmp_path / "tiny.gguf"
    weights.write_bytes(b"weights")
    found = with_files(made, {"models/tiny/tiny.gguf": weights}, {"models/tiny/tiny.gguf": "tiny"})
    write(found, tmp_path / "out.tar")
    (model,) = verified(tmp_path / "out.tar").of("model")
    assert (model.name, model.model, model.size) == ("tiny.gguf", "tiny", 7)


@pytest.mark.parametrize("name", ["out.tar", "out"])
def test_a_file_that_has_changed_is_named(made: Bundle, tmp_path: Path, name: str) -> None:
    file = made.manifest.files[0]
    changed = msgspec.structs.replace(file, sha256="0" * 64)
    bundle = Bundle(manifest=msgspec.structs.replace(made.manifest, files=(changed,)), places=made.places)
    write(bundle, tmp_path / name)
    with pytest.raises(InvalidRequestError, match=r"rbee-1\.0-py3-none-any\.whl.*not as it was made"):
        verified(tmp_path / name)
    with (
        pytest.raises(InvalidRequestError, match="not as it was made"),
        opened(tmp_path / name, tmp_path / "scratch"),
    ):
        pass


def test_a_bundle_that_was_cut_off_is_refused(made: Bundle, tmp_path: Path) -> None:
    write(made, tmp_path / "out.tar")
    raw = (tmp_path / "out.tar").read_bytes()
    (tmp_path / "out.tar").write_bytes(raw[: raw.index(b"a wheel")])
    with pytest.raises(InvalidRequestError, match=r"out\.tar"):
        verified(tmp_path / "out.tar")


def test_a_path_that_leads_out_of_the_bundle_is_refused(made: Bundle, tmp_path: Path) -> None:
    evil = msgspec.structs.replace(made.manifest.files[0], path="../evil")
    manifest = msgspec.structs.replace(made.manifest, files=(evil,))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(InvalidRequestError, match="leads out of the bundle"):
        read_manifest(tmp_path / "out")


def test_links_in_a_bundle_are_refused(made: Bundle, tmp_path: Path) -> None:
    write(made, tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar", "a") as found:
        link = tarfile.TarInfo("wheels/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        found.addfile(link)
    with pytest.raises(InvalidRequestError, match="no plain file"):
        verified(tmp_path / "out.tar")


def test_what_is_no_bundle_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("hello")
    with pytest.raises(InvalidRequestError, match="no bundle of rbee"):
        read_manifest(tmp_path / "text.tar")
    with pytest.raises(NotFoundError, match="rbee bundle build"):
        read_manifest(tmp_path / "nowhere.tar")


def test_a_folder_with_other_things_in_it_is_not_written_over(made: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(ConflictError, match="other things"):
        write(made, tmp_path / "mine")
    write(made, tmp_path / "out")
    write(made, tmp_path / "out")
    assert verified(tmp_path / "out") == made.manifest


def test_a_bundle_that_cannot_be_written_leaves_nothing(made: Bundle, tmp_path: Path) -> None:
    gone = Bundle(manifest=made.manifest, places={made.manifest.files[0].path: tmp_path / "gone"})
    (tmp_path / "to").mkdir()
    with pytest.raises(InvalidRequestError, match="cannot be written"):
        write(gone, tmp_path / "to" / "out.tar")
    assert list((tmp_path / "to").iterdir()) == []
