"""A signature says who packed a bundle, and no other key and no other bundle passes for it."""

import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldmark.base.errors import BundleError, ExportError
from fieldmark.models.bundle import load_bundle, save_bundle, zip_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.models.signing import check_signature, zip_signed
from fieldmark.verifying import verify


@pytest.fixture
def bundle(tmp_path: Path, make_classifier: Callable[..., Classifier]) -> Path:
    save_bundle(make_classifier(), tmp_path / "model", data_digest="d" * 64)
    (tmp_path / "model" / "MODEL_CARD.md").write_text("A card.")
    return tmp_path / "model"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return a private key, the public one to it, and somebody else's public key."""
    pytest.importorskip("model_signing.signing")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    files = []
    for name in ("own", "other"):
        private = ec.generate_private_key(ec.SECP256R1())
        files += [tmp_path / f"{name}.pem", tmp_path / f"{name}-public.pem"]
        files[-2].write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        files[-1].write_bytes(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    return files[0], files[1], files[3]


def test_only_the_key_that_signed_verifies(
    bundle: Path, tmp_path: Path, keys: tuple[Path, Path, Path]
) -> None:
    private, public, other = keys
    file = tmp_path / "signed.fieldmark"
    zip_signed(bundle, file, private_key=private)
    assert load_bundle(file).classes == ("cat", "dog", "owl")
    assert verify(file, key=public).key == public
    assert verify(file).is_signed
    with pytest.raises(BundleError, match="was not signed with the key"):
        check_signature(file, public_key=other)


def test_a_signature_does_not_pass_for_another_bundle(
    bundle: Path,
    tmp_path: Path,
    keys: tuple[Path, Path, Path],
    make_classifier: Callable[..., Classifier],
) -> None:
    private, public, _ = keys
    zip_signed(bundle, tmp_path / "signed.fieldmark", private_key=private)
    save_bundle(make_classifier(seed=5), tmp_path / "forged", data_digest="")
    with zipfile.ZipFile(tmp_path / "signed.fieldmark") as archive:
        (tmp_path / "forged" / "model.sig").write_bytes(archive.read("model.sig"))
    with pytest.raises(BundleError, match="was not signed with the key"):
        check_signature(tmp_path / "forged", public_key=public)


def test_the_card_may_be_edited_after_signing(
    bundle: Path, tmp_path: Path, keys: tuple[Path, Path, Path]
) -> None:
    private, public, _ = keys
    zip_signed(bundle, tmp_path / "signed.fieldmark", private_key=private)
    with zipfile.ZipFile(tmp_path / "signed.fieldmark") as archive:
        archive.extractall(tmp_path / "folder")
    (tmp_path / "folder" / "MODEL_CARD.md").write_text("Ask Ms Field.")
    check_signature(tmp_path / "folder", public_key=public)


def test_a_bundle_without_signature_is_refused(
    bundle: Path, tmp_path: Path, keys: tuple[Path, Path, Path]
) -> None:
    zip_bundle(bundle, tmp_path / "plain.fieldmark")
    with pytest.raises(BundleError, match="is not signed"):
        check_signature(tmp_path / "plain.fieldmark", public_key=keys[1])


def test_a_key_that_is_none_is_refused(
    bundle: Path, tmp_path: Path, keys: tuple[Path, Path, Path]
) -> None:
    (tmp_path / "bad.pem").write_text("no key")
    for key in (tmp_path / "bad.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(ExportError, match="cannot be used"):
            zip_signed(bundle, tmp_path / "signed.fieldmark", private_key=key)
    assert not (tmp_path / "signed.fieldmark").exists()


def test_what_is_missing_is_said_with_how_to_install_it(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model_signing", "model_signing.signing", "model_signing.verifying"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r"fieldmark\[sign\]"):
        zip_signed(bundle, tmp_path / "a.fieldmark", private_key=tmp_path / "key.pem")
    shutil.copy(bundle / "model.json", bundle / "model.sig")
    with pytest.raises(ExportError, match=r"fieldmark\[sign\]"):
        check_signature(bundle, public_key=tmp_path / "key.pem")
