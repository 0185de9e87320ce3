"""Signatures of bundles by a key pair of one's own, as sigstore's model-signing makes them.

In: a bundle and a key on an elliptic curve (PEM). Out: the bundle with a signature, or a refusal.
Nothing asks the network: neither a certificate authority nor a public log is involved, so who
verifies must have the public key from somebody that they trust.
The manifest is signed with every file that it vouches for; the model card may be edited.
"""

import tempfile
from pathlib import Path
from typing import Any

from fieldmark.base.errors import BundleError, ExportError
from fieldmark.models.bundle_files import CARD, MANIFEST, SIGNATURE, laid_out, read_files
from fieldmark.models.zipped import write_zipped


def zip_signed(bundle: Path, file: Path, *, private_key: Path) -> None:
    """Write a bundle as one `.fieldmark` file with a signature in it.

    Raises:
        BundleError: the bundle is none, or damaged.
        ExportError: model-signing is not installed, or the key cannot be used.
    """
    signing = _library("signing")
    files = read_files(bundle)
    with laid_out(files) as folder:
        try:
            signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
            signer.sign(folder, folder / SIGNATURE)
        except (OSError, TypeError, ValueError) as error:
            raise ExportError(f"The key {private_key} cannot be used: {error}") from error
        if bundle.is_dir() and (bundle / CARD).is_file():
            (folder / CARD).write_bytes((bundle / CARD).read_bytes())
        write_zipped(folder, file, names=[MANIFEST, *files.contents, CARD, SIGNATURE])


def check_signature(bundle: Path, *, public_key: Path) -> None:
    """Refuse a bundle that was not signed with the private key to this public one.

    Raises:
        BundleError: it has no signature, or not one by that key of these files.
        ExportError: model-signing is not installed.
    """
    verifying = _library("verifying")
    files = read_files(bundle)
    if not files.signature:
        raise BundleError(f"{bundle} is not signed: there is no {SIGNATURE} in it.")
    with laid_out(files) as folder, tempfile.TemporaryDirectory() as apart:
        signature = Path(apart) / SIGNATURE
        signature.write_bytes(files.signature)
        try:
            verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
            verifier.verify(folder, signature)
        except Exception as error:  # of the library, of cryptography, of what parses the file
            raise BundleError(
                f"{bundle} was not signed with the key that belongs to {public_key}, or was "
                f"altered since: {error}"
            ) from error


def _library(part: str) -> Any:
    try:
        from importlib import import_module

        return import_module(f"model_signing.{part}")
    except ImportError as error:
        raise ExportError(
            "model-signing is not installed, which signs and verifies bundles. Install it with: "
            'pip install "fieldmark[sign]"'
        ) from error
