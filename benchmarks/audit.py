"""Does the audit find what is wrong with photos, and how long does it take?

In: a folder of photos without known faults. Out: one Markdown row a question on standard output;
with --record the same rows stand in the table of benchmarks/README.md.
Faults are put into copies of a sample, of which it is then known what should be found: exact
copies, near-duplicates of four kinds, and labels that are wrong. Time is measured on the whole
folder, once with an empty cache and once more.
"""

import argparse
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from conditions import machine, today
from figures_table import FiguresTable
from process_cost import measure, warm_up

TABLE = FiguresTable(
    name="audit", header=("Photos", "Question", "Answer", "Machine", "Date"), num_keys=2
)
NUM_SAMPLED, NUM_EXACT, NUM_NEAR = 2000, 200, 300
FLIPPED_SHARE = 0.05

Edit = Callable[[Image.Image], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    weights: str | None
    seed: int
    record: bool


def main() -> None:
    options = parse_options(sys.argv[1:])
    warm_up(options.photos)
    name = options.photos.resolve().name
    answers = list(answer(options))
    rows = [(name, question, said, machine(), today()) for question, said in answers]
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure 'fieldmark explore'.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--weights", help="as of fieldmark explore; without, no labels are checked")
    parser.add_argument("--seed", type=int, default=0, help="of what is sampled and spoiled")
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = Options(**vars(parser.parse_args(arguments)))
    if not options.photos.is_dir():
        parser.error(f"there is no folder {options.photos}")
    return options


def answer(options: Options) -> Iterator[tuple[str, str]]:
    """Yield each question and what was measured."""
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        folder = Path(name)
        generator = np.random.default_rng(options.seed)
        sample = sample_photos(options.photos, generator)
        yield from ask_copies(sample, options.photos, folder / "copies", generator)
        if options.weights:
            yield from ask_labels(
                sample, options.photos, folder / "labels", generator, weights=options.weights
            )
        yield from ask_time(options.photos, folder)


def sample_photos(photos: Path, generator: np.random.Generator) -> list[str]:
    """Return the paths of a random sample, relative to the folder."""
    found = sorted(file.relative_to(photos).as_posix() for file in photos.glob("*/*"))
    chosen = generator.permutation(len(found))[:NUM_SAMPLED]
    return [found[place] for place in sorted(chosen)]


def ask_copies(
    sample: Sequence[str], photos: Path, copy: Path, generator: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Inject exact copies and near-duplicates, and count those that are found."""
    put(sample, photos, copy)
    order = [sample[place] for place in generator.permutation(len(sample))]
    exact = dict(inject_exact(order[:NUM_EXACT], copy, generator))
    kinds = {
        "re-encoded at quality 40": lambda image: jpeg(image, quality=40),
        "resized to 60 %": lambda image: jpeg(resized(image, 0.6)),
        "mirrored": lambda image: jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "5 % cropped off each side": lambda image: jpeg(cropped(image, 0.05)),
        "all four": lambda image: jpeg(
            cropped(resized(image, 0.6).transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.025),
            quality=40,
        ),
    }
    near: dict[str, dict[str, str]] = {}
    per_kind = NUM_NEAR // len(kinds)
    for place, (kind, edit) in enumerate(kinds.items()):
        start = NUM_EXACT + place * per_kind
        near[kind] = dict(inject_edited(order[start : start + per_kind], copy, edit))
    pairs, exact_pairs = find_pairs(copy)
    num_exact = sum(frozenset(pair) in exact_pairs for pair in exact.items())
    yield f"{NUM_EXACT} exact copies: found", f"{num_exact} of {len(exact)}"
    total = 0
    told = []
    for kind, injected in near.items():
        found = sum(frozenset(pair) in pairs for pair in injected.items())
        total += found
        told.append(f"{kind} {found} of {len(injected)}")
    num_near = sum(map(len, near.values()))
    yield (
        f"{num_near} near-duplicates: found",
        f"{total} of {num_near} ({total / num_near:.1%}): {'; '.join(told)}",
    )
    yield from ask_clean(sample, pairs)


def ask_clean(sample: Sequence[str], pairs: set[frozenset[str]]) -> Iterator[tuple[str, str]]:
    """Count the pairs and the photos of the untouched sample that are called near-duplicates."""
    clean = set(sample)
    flagged = [pair for pair in pairs if pair <= clean]
    num_pairs = len(clean) * (len(clean) - 1) // 2
    touched = {path for pair in flagged for path in pair}
    by_class = {
        label: sum(path.startswith(f"{label}/") for path in touched) for label in labels_of(sample)
    }
    told = ", ".join(f"{label} {count}" for label, count in by_class.items() if count)
    yield (
        "untouched pairs called near-duplicates",
        (
            f"{len(flagged)} of {num_pairs:,} ({len(flagged) / num_pairs:.4%}), "
            f"{len(touched)} of {len(clean):,} photos ({told})"
        ),
    )


def find_pairs(folder: Path) -> tuple[set[frozenset[str]], set[frozenset[str]]]:
    """Return the pairs found to be near-duplicates, and those found to be exact copies."""
    from fieldmark.audit.duplicates import find_duplicates
    from fieldmark.base.progress import SilentProgress
    from fieldmark.data.cue_cache import CueCache
    from fieldmark.data.scan import scan

    with CueCache(folder.parent / "cues.sqlite") as cache:
        scanned = scan(
            folder,
            preprocess=None,
            progress=SilentProgress(),
            cue_cache=cache,
        )
    found = find_duplicates(scanned.catalog, scanned.cues)
    # Of photos with the same bytes one stands for all.
    copies = {path: group for group in found.exact for path in group}
    near = {
        frozenset((first, second))
        for pair in found.near
        for first in copies.get(pair.first, (pair.first,))
        for second in copies.get(pair.second, (pair.second,))
    }
    exact = {
        frozenset((first, second)) for group in found.exact for first in group for second in group
    }
    return near, exact


def ask_labels(
    sample: Sequence[str],
    photos: Path,
    copy: Path,
    generator: np.random.Generator,
    *,
    weights: str,
) -> Iterator[tuple[str, str]]:
    """Put photos into the wrong class, and count those that are suspected."""
    put(sample, photos, copy)
    flipped = set(flip(sample, copy, generator))
    cache = copy.parent / "label-cache"
    command = [sys.executable, "-m", "fieldmark", "explore", str(copy), "--weights", weights]
    out = copy.parent / "explored"
    measure([*command, "--out", str(out)], log=copy.parent / "explore.log", cache=cache)
    findings = json.loads((out / "findings.json").read_text("utf-8"))
    suspects = {one["path"] for one in findings["suspects"]}
    right = len(suspects & flipped)
    precision = right / max(1, len(suspects))
    yield (
        f"{len(flipped)} of {len(sample):,} labels flipped: in the suspects",
        (
            f"{right} of {len(flipped)} ({right / len(flipped):.0%}); "
            f"{right} of {len(suspects)} suspects ({precision:.0%}) were flipped"
        ),
    )


def ask_time(photos: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Time the audit without features on all photos, first with nothing known, then again."""
    command = [sys.executable, "-m", "fieldmark", "explore", str(photos), "--weights", "none"]
    costs = [
        measure(
            [*command, "--out", str(folder / f"time-{turn}")],
            log=folder / "time.log",
            cache=folder / "time-cache",
        )
        for turn in range(2)
    ]
    findings = json.loads((folder / "time-0" / "findings.json").read_text("utf-8"))
    for turn, cost in zip(("first time", "second time"), costs, strict=True):
        yield (
            f"explore --weights none, {findings['num_photos']:,} photos: {turn}",
            f"{cost.seconds:.1f} s, {cost.peak_mib:,} MiB",
        )
    sizes = [cue for cue in findings["shortcuts"]["cues"] if cue["key"] == "size"]
    for cue in sizes:
        accuracy, chance = cue["accuracy"], findings["shortcuts"]["chance"]
        yield (
            "accuracy by image size alone",
            (
                f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%}); "
                f"chance {chance['value']:.1%}"
            ),
        )


def put(sample: Sequence[str], photos: Path, copy: Path) -> None:
    """Copy the sample."""
    for path in sample:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photos / path, copy / path)


def inject_exact(
    paths: Sequence[str], copy: Path, generator: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Copy photos under other names, every fourth into another class; yield both paths."""
    labels = labels_of([path.relative_to(copy).as_posix() for path in copy.glob("*/*")])
    for place, path in enumerate(paths):
        label, _, name = path.partition("/")
        if place % 4 == 0:
            label = str(generator.choice([other for other in labels if other != label]))
        target = f"{label}/copy-{place}-{name}"
        shutil.copyfile(copy / path, copy / target)
        yield path, target


def inject_edited(paths: Sequence[str], copy: Path, edit: Edit) -> Iterator[tuple[str, str]]:
    """Put an edited version beside each photo; yield both paths."""
    for path in paths:
        target = path.rpartition(".")[0] + "-edited.jpg"
        with Image.open(copy / path) as image:
            (copy / target).write_bytes(edit(image.convert("RGB")))
        yield path, target


def flip(sample: Sequence[str], copy: Path, generator: np.random.Generator) -> Iterator[str]:
    """Move a share of the photos into a wrong class; yield where they lie then."""
    labels = labels_of(sample)
    for place in generator.permutation(len(sample))[: round(FLIPPED_SHARE * len(sample))]:
        label, _, name = sample[place].partition("/")
        wrong = str(generator.choice([other for other in labels if other != label]))
        target = f"{wrong}/moved-{name}"
        (copy / sample[place]).rename(copy / target)
        yield target


def labels_of(paths: Sequence[str]) -> list[str]:
    return sorted({path.partition("/")[0] for path in paths})


def jpeg(image: Image.Image, *, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def resized(image: Image.Image, scale: float) -> Image.Image:
    width, height = image.size
    return image.resize((round(width * scale), round(height * scale)))


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Return the picture without a share of its width and height at each side."""
    width, height = image.size
    left, top = round(width * share), round(height * share)
    return image.crop((left, top, width - left, height - top))


if __name__ == "__main__":
    main()
