"""A finished run as one file to take away, checked against the run before it is kept.

In: a finished run and its photos, as they were. Out: `Export`: an ONNX file with the record of the
check beside it, the bundle in one file, or a folder with a site that predicts in browsers.
Not covered: the graph (`models.export`), 8 bits (`models.quantise`), using it (`exported`), and
what a site consists of (`site_writing`).
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fieldmark.base.counting import counted
from fieldmark.base.errors import ExportError, RecipeError, nearest_spelling
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_folder import require_outside
from fieldmark.evaluation.intervals import format_percent
from fieldmark.evaluation.parity import TOLERANCE, Parity
from fieldmark.models.bundle import zip_bundle
from fieldmark.models.exported_form import EXPORT_PRECISIONS, INPUT_FORMS
from fieldmark.models.zipped import SUFFIX as BUNDLE_SUFFIX
from fieldmark.run import Run, load
from fieldmark.run_photos import RunPhotos, photos_of

if TYPE_CHECKING:
    from fieldmark.onnx_writing import Prepared

KINDS = ("onnx", "bundle", "web")
ONNX_SUFFIX = ".onnx"
SITE_FOLDER = "site"
MAX_LOSS = 0.01
"""How much accuracy 8 bits may cost where nothing else is said."""
NEEDED = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was written, and how far it agrees with the run."""

    path: Path
    """The file, or the folder of a site."""
    kind: str
    """One of `KINDS`."""
    num_bytes: int
    precision: str = "fp32"
    takes: str = "any"
    parity: Parity | None = None
    """None for a bundle, which is the run's own."""
    record: Path | None = None
    """The file with the parity as JSON; none for a site."""
    thumbnails: str = ""
    """What of the training photos travels with a bundle; empty where nothing does."""


def export(
    run: str | Path | Run,
    *,
    to: str = "onnx",
    precision: str = "fp32",
    takes: str = "any",
    photos: str | Path | None = None,
    max_loss: float = MAX_LOSS,
    sign: str | Path | None = None,
    with_thumbnails: bool = False,
    ort: str | Path | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Export:
    """Write a run as one file, once it is shown to do what the run does.

    Args:
        run: a run folder, a bundle, or a loaded run.
        to: "onnx", "bundle" for the bundle as one `.fieldmark` file, or "web" for a folder with a
            site on which visitors' own browsers predict.
        precision: "fp32", or "int8" for weights and activations of 8 bits.
        takes: "any" for a file that takes photos of any size and does the preprocessing itself,
            "fixed" for one that takes pixels of the network's size alone.
        photos: where the run's photos are now; None is where `run.json` says.
        max_loss: how much accuracy "int8" may cost on the test photos, 0 to 1.
        sign: a private key on an elliptic curve (PEM) to sign the bundle with.
        with_thumbnails: put thumbnails of training photos into the bundle, at most 4,000, as many
            of each class as can be. Whoever has it can then look at them, and a server shows them.
        ort: a folder with ONNX Runtime's files for browsers; None takes those that are
            installed, or in the cache, or downloads them.
        out: the file or folder, which must be new; None is `model.onnx`, `model-int8.onnx`,
            `model.fieldmark` or `site` in the run folder.
        progress: where progress is shown; None shows nothing.

    Raises:
        RecipeError: an argument is none of those.
        RunError: the run cannot be read.
        DataError: its photos are missing or have changed.
        ExportError: what is needed is not installed, the network cannot be exported, or the file
            does not do what the run does; then nothing is written.
    """
    progress = progress or SilentProgress()
    _check(to=to, precision=precision, takes=takes, max_loss=max_loss)
    _check_for_bundles(to=to, sign=sign is not None, with_thumbnails=with_thumbnails)
    loaded = run if isinstance(run, Run) else load(run)
    place = _place(loaded, out=out, to=to, precision=precision)
    if to == "bundle":
        key = Path(sign) if sign else None
        if with_thumbnails:
            return _with_thumbnails(loaded, place, photos=photos, sign=key, progress=progress)
        return _bundle(loaded.bundle, place, sign=key)
    _require_installed()
    from fieldmark import onnx_writing

    site = _site_files(ort, progress=progress) if to == "web" else None
    known = _photos(loaded, photos=photos, place=place, precision=precision, progress=progress)
    written = onnx_writing.prepare(
        loaded, known, precision=precision, takes=takes, progress=progress
    )
    _require_parity(written.parity, precision=precision, max_loss=max_loss)
    if site is None:
        record, num_bytes = written.write(place), place.stat().st_size
    else:
        record, num_bytes = None, _site(loaded, written, place, files=site)
    return Export(
        path=place,
        kind=to,
        num_bytes=num_bytes,
        precision=precision,
        takes=takes,
        parity=written.parity,
        record=record,
    )


def _check(*, to: str, precision: str, takes: str, max_loss: float) -> None:
    for flag, value, allowed in (
        ("--to", to, KINDS),
        ("--precision", precision, EXPORT_PRECISIONS),
        ("--input", takes, INPUT_FORMS),
    ):
        if value not in allowed:
            hint = nearest_spelling(value, allowed)
            raise RecipeError(f"{flag} is '{value}'.{hint} Allowed: {', '.join(allowed)}.")
    if to == "web" and takes != "any":
        raise RecipeError("--input fixed is not for sites: their model takes photos of any size.")
    if not 0 <= max_loss <= 1:
        raise RecipeError(f"--max-loss is {max_loss:g}; allowed: 0 to 1, such as 0.01 for 1 %.")


def _check_for_bundles(*, to: str, sign: bool, with_thumbnails: bool) -> None:
    for flag, is_asked in (("--sign KEY", sign), ("--with-thumbnails", with_thumbnails)):
        if is_asked and to != "bundle":
            raise RecipeError(
                f"{flag.split()[0]} is for bundles, and --to is '{to}': fieldmark export RUN "
                f"--to bundle {flag}."
            )


def _place(run: Run, *, out: str | Path | None, to: str, precision: str) -> Path:
    suffix = ONNX_SUFFIX if to == "onnx" else BUNDLE_SUFFIX
    stem = "model-int8" if to == "onnx" and precision == "int8" else "model"
    folder = run.path or run.bundle.parent
    if to == "web":
        place = Path(out).expanduser() if out is not None else folder / SITE_FOLDER
        if place.is_dir() and not any(place.iterdir()):
            return place
    else:
        place = Path(out).expanduser() if out is not None else folder / f"{stem}{suffix}"
    if to != "web" and place.suffix.lower() != suffix:
        raise RecipeError(f"--out {place} must end in {suffix}.")
    if place.exists():
        raise ExportError(
            f"{place} is there already, and nothing is ever overwritten. Choose another --out, or "
            "remove the file first."
        )
    return place


def _require_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"{' and '.join(missing)} must be installed to write ONNX files. Install them with: "
            'pip install "fieldmark[export]"'
        )


def _photos(
    run: Run, *, photos: str | Path | None, place: Path, precision: str, progress: Progress
) -> RunPhotos | None:
    """Return the photos of the run; None for a bundle that stands alone."""
    if run.path is not None:
        root = Path(photos).expanduser() if photos is not None else None
        known = photos_of(run.path, root=root)
        require_outside(place, photos=known.root)
        return known
    if precision == "int8":
        raise ExportError(
            f"{run.bundle} is a bundle without its run, and 8 bits are fitted to training photos. "
            "Give the run folder, or export with --precision fp32."
        )
    progress.note(
        "This is a bundle without its run, so the export is checked on its golden photos alone."
    )
    return None


def _require_parity(parity: Parity, *, precision: str, max_loss: float) -> None:
    agreeing = f"{parity.num_agreeing:,} of {counted(parity.num_photos, 'photo')}"
    if precision == "fp32" and not parity.is_exact:
        raise ExportError(
            f"The exported model does not do what the run does: they name {agreeing} the same, and "
            f"probabilities differ by up to {parity.max_difference:.2g} (on {parity.worst_photo}), "
            f"where {TOLERANCE:g} is allowed. Nothing was written. Please report the backbone."
        )
    lost = parity.accuracy_lost
    if precision == "int8" and lost is not None and lost.value > max_loss:
        raise ExportError(
            f"8 bits cost too much accuracy: {format_percent(lost)} on {parity.num_photos:,} test "
            f"photos, where --max-loss allows {100 * max_loss:g} %. Nothing was written. Export "
            "with --precision fp32, or allow more."
        )


def _site_files(ort: str | Path | None, *, progress: Progress) -> Mapping[str, bytes]:
    """Return what a site consists of besides its model: whatever is missing shows at once."""
    from fieldmark.site_writing import page_of_site
    from fieldmark.web_runtime import runtime_files

    page = page_of_site()
    return {**page, **runtime_files(Path(ort) if ort is not None else None, progress=progress)}


def _site(run: Run, written: "Prepared", place: Path, *, files: Mapping[str, bytes]) -> int:
    """Write the site and return its bytes."""
    from fieldmark.site_writing import size_of, write_site

    name = run.path.resolve().name if run.path else run.bundle.resolve().stem
    write_site(place, written, name=name, files=files)
    return size_of(place)


def _with_thumbnails(
    run: Run,
    place: Path,
    *,
    photos: str | Path | None,
    sign: Path | None,
    progress: Progress,
) -> Export:
    from fieldmark.photo_packing import bundle_with_photos

    if run.path is None:
        raise ExportError(
            f"{run.bundle} is a bundle without its run, and thumbnails are made of the run's "
            "photos. Give the run folder, or export without --with-thumbnails."
        )
    root = photos_of(run.path, root=Path(photos).expanduser() if photos is not None else None).root
    require_outside(place, photos=root)
    with bundle_with_photos(run, root=root, progress=progress) as packed:
        written = _bundle(packed.folder, place, sign=sign)
        return replace(written, thumbnails=packed.told)


def _bundle(bundle: Path, place: Path, *, sign: Path | None) -> Export:
    if sign is None:
        zip_bundle(bundle, place)
    else:
        from fieldmark.models.signing import zip_signed

        zip_signed(bundle, place, private_key=sign)
    return Export(path=place, kind="bundle", num_bytes=place.stat().st_size)
