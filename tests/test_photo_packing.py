"""Training photos travel with a bundle only where that was asked for, and then it is said."""

import hashlib
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fieldmark
from fieldmark.base.errors import DataError, ExportError, RecipeError, RunError
from fieldmark.models.bundle import load_bundle
from fieldmark.models.bundle_photos import PackedPhotos, load_photos

CallMain = Callable[..., Any]
FILE = "training_photos.safetensors"


@pytest.fixture(scope="module")
def run(finished_quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of its own, to write into."""
    place = tmp_path_factory.mktemp("packing") / "run"
    shutil.copytree(finished_quick.path, place)
    return place


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's bundle with thumbnails, in one file."""
    out = tmp_path_factory.mktemp("packed") / "pets.fieldmark"
    fieldmark.export(run, to="bundle", with_thumbnails=True, out=out)
    return out


def photos_in(bundle: Path) -> PackedPhotos:
    found = load_photos(bundle, load_bundle(bundle))
    assert found is not None
    return found


def training_labels(run: Path) -> Counter[str]:
    rows = (run / "splits.csv").read_text("utf-8").splitlines()
    return Counter(row.split(",")[1] for row in rows if ",train," in row)


def test_the_bundle_of_a_run_and_its_plain_export_hold_none(run: Path, tmp_path: Path) -> None:
    assert not (run / "model" / FILE).exists()
    export = fieldmark.export(run, to="bundle", out=tmp_path / "plain.fieldmark")
    assert export.thumbnails == ""
    assert load_photos(export.path, load_bundle(export.path)) is None
    with zipfile.ZipFile(export.path) as archive:
        assert FILE not in archive.namelist()
        assert b"travel with it" not in archive.read("MODEL_CARD.md")


def test_the_command_line_packs_them_and_says_so(
    run: Path, tmp_path: Path, call_main: CallMain
) -> None:
    out = tmp_path / "pets.fieldmark"
    outcome = call_main("export", run, "--to", "bundle", "--with-thumbnails", "--out", out)
    assert outcome.code == 0, outcome.err
    num = sum(training_labels(run).values())
    told = f"thumbnails of {num} training photos travel with it"
    assert told in outcome.out
    assert told in call_main("verify", out).out
    assert "travel with it" not in call_main("verify", run).out


def test_every_training_photo_is_there_with_its_class(run: Path, packed: Path) -> None:
    photos, classes = photos_in(packed), load_bundle(packed).classes
    assert Counter(classes[index] for index in photos.classes_P) == training_labels(run)
    assert len(photos.thumbnails) == len(photos.units_PF)


def test_the_card_tells_of_them_and_names_their_digest(run: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        card = archive.read("MODEL_CARD.md").decode()
        digest = hashlib.sha256(archive.read(FILE)).hexdigest()
        assert json.loads(archive.read("MANIFEST.json"))["sha256"][FILE] == digest
    num = sum(training_labels(run).values())
    assert f"Thumbnails of {num} training photos travel with it, each of at most 96" in card
    assert digest in card
    assert card.startswith((run / "model" / "MODEL_CARD.md").read_text("utf-8"))


def test_no_name_of_a_photo_and_no_place_is_in_the_file(run: Path, packed: Path) -> None:
    content = packed.read_bytes()
    record = json.loads((run / "run.json").read_text("utf-8"))
    assert record["photos"].encode() not in content
    for row in (run / "splits.csv").read_text("utf-8").splitlines()[1:]:
        assert row.split(",")[0].encode() not in content


def test_the_classifier_is_the_same_and_the_run_is_left_as_it_was(
    run: Path, photos: Path, tmp_path: Path, snapshot: Callable[[Path], Any]
) -> None:
    before = snapshot(run)
    out = tmp_path / "pets.fieldmark"
    fieldmark.export(run, to="bundle", with_thumbnails=True, out=out)
    assert snapshot(run) == before
    file = str(min(photos.glob("*/*.png")))
    assert fieldmark.load(out).predict([file]) == fieldmark.load(run).predict([file])


def test_packing_twice_gives_the_same_file(run: Path, packed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.fieldmark"
    fieldmark.export(run, to="bundle", with_thumbnails=True, out=again)
    assert again.read_bytes() == packed.read_bytes()


def test_where_there_are_too_many_all_classes_have_as_many(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.models.bundle_photos.MAX_PHOTOS", 8)
    out = tmp_path / "few.fieldmark"
    export = fieldmark.export(run, to="bundle", with_thumbnails=True, out=out)
    assert sorted(np.bincount(photos_in(out).classes_P)) == [2, 3, 3]
    num = sum(training_labels(run).values())
    assert export.thumbnails == f"thumbnails of 8 training photos (of {num}) travel with it"


def test_photos_that_are_gone_or_have_changed_are_left_out(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(photos, moved)
    rows = (run / "splits.csv").read_text("utf-8").splitlines()
    gone, other, *rest = (row.split(",")[0] for row in rows if ",train," in row)
    (moved / gone).unlink()
    (moved / other).write_bytes((moved / other).read_bytes() + b"x")
    out = tmp_path / "rest.fieldmark"
    export = fieldmark.export(run, to="bundle", with_thumbnails=True, photos=moved, out=out)
    assert len(photos_in(out).thumbnails) == len(rest)
    assert f"{len(rest)} training photos (of {len(rest) + 2})" in export.thumbnails
    for path in rest:
        (moved / path).unlink()
    with pytest.raises(ExportError, match="None of the run's training photos is in"):
        fieldmark.export(
            run, to="bundle", with_thumbnails=True, photos=moved, out=tmp_path / "b.fieldmark"
        )
    with pytest.raises(DataError, match=r"are not in .*--photos"):
        fieldmark.export(
            run,
            to="bundle",
            with_thumbnails=True,
            photos=tmp_path / "nowhere",
            out=tmp_path / "c.fieldmark",
        )


def test_other_kinds_and_bundles_alone_are_refused(
    run: Path, photos: Path, packed: Path, tmp_path: Path
) -> None:
    for kind in ("onnx", "web"):
        with pytest.raises(RecipeError, match="--with-thumbnails is for bundles"):
            fieldmark.export(run, to=kind, with_thumbnails=True)
    shutil.copytree(run / "model", tmp_path / "alone")
    for alone in (tmp_path / "alone", packed):
        with pytest.raises(ExportError, match="a bundle without its run"):
            fieldmark.export(alone, to="bundle", with_thumbnails=True, out=tmp_path / "a.fieldmark")
    with pytest.raises(RunError, match="inside the folder of photos"):
        fieldmark.export(run, to="bundle", with_thumbnails=True, out=photos / "a.fieldmark")


def test_a_signature_covers_them(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("model_signing")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    out = tmp_path / "signed.fieldmark"
    fieldmark.export(run, to="bundle", with_thumbnails=True, sign=private, out=out)
    verified = fieldmark.verify(out, key=public)
    assert FILE in verified.files
    assert verified.num_photos == len(photos_in(out).thumbnails)
