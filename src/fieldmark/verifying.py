"""Whether a bundle is whole, does what it did when it was saved, and who signed it.

In: a run folder, a bundle or a `.fieldmark` file, and a public key where it shall be signed.
Out: `Verified`, or a refusal with the reason.
"""

from dataclasses import dataclass
from pathlib import Path

from fieldmark.models.bundle import load_bundle, load_golden
from fieldmark.models.bundle_files import read_files
from fieldmark.models.bundle_photos import load_photos
from fieldmark.models.golden import replay
from fieldmark.run import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A bundle that is what it claims to be."""

    path: Path
    files: tuple[str, ...]
    """Those that the manifest vouches for."""
    num_golden: int
    """Golden photos whose logits were computed again; 0 for a bundle of before there were any."""
    drift: float
    """How far they stray at most, as a share of their range."""
    num_photos: int
    """Training photos of which thumbnails travel with it."""
    is_signed: bool
    """Whether there is a signature, looked at or not."""
    key: Path | None
    """The public key that the signature was checked with."""


def verify(model: str | Path, *, key: str | Path | None = None) -> Verified:
    """Check every file of a bundle, compute all its golden photos again, check its signature.

    Args:
        model: a run folder, a bundle or a `.fieldmark` file.
        key: a public key on an elliptic curve (PEM), of whoever should have signed it; None looks
            at no signature.

    Raises:
        RunError: there is no such run.
        BundleError: something is not as it should be.
        ExportError: what checks signatures is not installed.
    """
    place = load(model).bundle
    public_key = Path(key).expanduser() if key is not None else None
    if public_key is not None:
        from fieldmark.models.signing import check_signature

        check_signature(place, public_key=public_key)
    files, classifier, golden = read_files(place), load_bundle(place), load_golden(place)
    photos = load_photos(place, classifier)
    num_golden = len(golden.pixels_GSS3) if golden else 0
    drift = replay(classifier, golden, where=str(place), num=num_golden) if golden else 0.0
    return Verified(
        path=place,
        files=tuple(files.contents),
        num_golden=num_golden,
        drift=drift,
        num_photos=len(photos.thumbnails) if photos else 0,
        is_signed=bool(files.signature),
        key=public_key,
    )
