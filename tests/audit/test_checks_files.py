from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.audit import checks_files
from fieldmark.audit.duplicates import Duplicates
from fieldmark.audit.findings import Finding
from fieldmark.audit.survey import Survey
from fieldmark.base.executor import SerialExecutor
from fieldmark.base.progress import SilentProgress
from fieldmark.data.cue_cache import CueCache
from fieldmark.data.scan import scan

Make = Callable[..., Any]
Check = Callable[[Survey], Finding | None]

GREY = np.repeat(np.arange(1024, dtype=np.uint8).reshape(32, 32, 1), 3, axis=2)


def lost(photo: Make, path: str, reason: str) -> Any:
    return photo(path, status="excluded", reason=reason, is_readable=False)


def sound(photo: Make, *, count: int = 20, **cues: Any) -> list[Any]:
    return [photo(f"{label}/{n:02d}.jpg", **cues) for label in ("cat", "dog") for n in range(count)]


def details(finding: Finding | None) -> dict[str, str]:
    assert finding is not None
    return {path: one.detail for one in finding.evidence for path in one.paths}


@pytest.mark.parametrize(
    "check",
    [
        checks_files.unreadable,
        checks_files.truncated,
        checks_files.wrong_extension,
        checks_files.odd_mode,
        checks_files.extreme_size,
        checks_files.extreme_aspect,
        checks_files.rotation_overruled,
    ],
)
def test_sound_photos_are_no_finding(check: Check, photo: Make, survey_of: Make) -> None:
    assert check(survey_of(sound(photo))) is None
    assert check(survey_of([])) is None


def test_every_unreadable_file_is_listed_commonest_reason_first(
    photo: Make, survey_of: Make
) -> None:
    broken = [lost(photo, f"cat/b{n:04d}.jpg", "empty file") for n in range(2500)]
    broken.append(lost(photo, "cat/a.jpg", "damaged PNG file: bad checksum"))
    found = checks_files.unreadable(survey_of(sound(photo) + broken))
    assert found is not None
    assert found.severity == "warning"
    assert len(found.evidence) == found.num_photos == 2501
    assert found.evidence[0].paths == ("cat/b0000.jpg",)
    assert found.evidence[-1].detail == "damaged PNG file: bad checksum"
    assert found.summary == (
        "2,501 files are left out because they cannot be used: 2,500 × empty file, "
        "1 × damaged PNG file: bad checksum."
    )


def test_what_nobody_misses_is_not_unreadable(photo: Make, survey_of: Make) -> None:
    passed_over = [
        lost(photo, "notes.txt", "not an image (.txt)"),
        lost(photo, "cat/.hidden.jpg", "hidden file"),
        lost(photo, "LICENSE", "not in a class folder"),
        photo("cat/unlisted.jpg", status="excluded", reason="not in the split file"),
        lost(photo, "cat/cut.jpg", "truncated: the JPEG data ends early"),
    ]
    assert checks_files.unreadable(survey_of(sound(photo) + passed_over)) is None


def test_photos_in_no_class_folder_are_missed(photo: Make, survey_of: Make) -> None:
    loose = lost(photo, "1.jpg", "not in a class folder")
    found = checks_files.unreadable(survey_of([*sound(photo), loose]))
    assert details(found) == {"1.jpg": "not in a class folder"}


def test_truncated_photos_are_found_apart_from_unreadable_ones(
    photo: Make, survey_of: Make
) -> None:
    reason = "truncated: the JPEG data ends early"
    cut, empty = lost(photo, "cat/cut.jpg", reason), lost(photo, "cat/e.jpg", "empty file")
    found = checks_files.truncated(survey_of([cut, empty]))
    assert found is not None
    assert details(found) == {"cat/cut.jpg": reason}
    assert (
        found.summary == f"1 file is left out because the data stop before the end: 1 × {reason}."
    )


def test_wrong_extension_is_told_by_the_repair(photo: Make, survey_of: Make) -> None:
    repair = "PNG file named .jpg; alpha laid on white"
    photos = [
        photo("cat/a.jpg", status="repaired", reason=repair),
        photo("cat/b.jpg", status="repaired", reason="alpha laid on white"),
    ]
    found = checks_files.wrong_extension(survey_of(photos))
    assert found is not None
    assert details(found) == {"cat/a.jpg": "PNG file named .jpg"}
    assert found.severity == "info"


def test_grey_among_colour_is_found_however_it_is_saved(photo: Make, survey_of: Make) -> None:
    odd = [photo("cat/l.jpg", mode="L"), photo("dog/rgb.jpg", thumbnail_SSC=GREY)]
    found = checks_files.odd_mode(survey_of(sound(photo) + odd))
    assert found is not None
    assert details(found) == {"cat/l.jpg": "grey", "dog/rgb.jpg": "grey"}
    assert found.severity == "info"
    assert found.summary == "2 photos are not like the rest, which is plain colour: 2 × grey."


@pytest.mark.parametrize(
    ("mode", "reason", "kind"),
    [
        ("P", "", "palette"),
        ("RGBA", "", "transparency"),
        ("LA", "", "transparency"),
        ("CMYK", "", "CMYK"),
        ("I;16", "", "16 bits a channel"),
        ("RGB", "16 bits a channel reduced to 8", "16 bits a channel"),
        ("1", "", "grey"),
    ],
)
def test_each_unusual_kind_of_colours_is_named(
    mode: str, reason: str, kind: str, photo: Make, survey_of: Make
) -> None:
    odd = photo("cat/odd.png", mode=mode, reason=reason)
    assert details(checks_files.odd_mode(survey_of([*sound(photo), odd]))) == {"cat/odd.png": kind}


@pytest.mark.parametrize("mode", ["L", "P", "CMYK"])
def test_folders_of_one_kind_throughout_are_no_finding(
    mode: str, photo: Make, survey_of: Make
) -> None:
    assert checks_files.odd_mode(survey_of(sound(photo, mode=mode))) is None


def test_colour_among_grey_is_no_finding_where_it_marks_no_class(
    photo: Make, survey_of: Make
) -> None:
    colour = [photo("cat/c.jpg"), photo("dog/c.jpg")]
    assert checks_files.odd_mode(survey_of(sound(photo, mode="L") + colour)) is None


@pytest.mark.parametrize(("usual", "other"), [("RGB", "L"), ("L", "RGB")])
def test_kind_that_marks_a_class_is_a_warning(
    usual: str, other: str, photo: Make, survey_of: Make
) -> None:
    photos = sound(photo, count=30, mode=usual)
    photos += [photo(f"scan/{n:02d}.jpg", mode=other) for n in range(10)]
    found = checks_files.odd_mode(survey_of(photos))
    assert found is not None
    assert found.severity == "warning"
    kind = "grey" if other == "L" else "plain colour"
    assert found.summary.endswith(f"'scan' holds 10 of 10 × {kind}.")
    assert set(details(found)) == {f"scan/{n:02d}.jpg" for n in range(10)}


def test_few_photos_of_a_kind_in_one_class_are_taken_for_chance(
    photo: Make, survey_of: Make
) -> None:
    odd = [photo(f"cat/o{n}.jpg", mode="CMYK") for n in range(3)]
    found = checks_files.odd_mode(survey_of(sound(photo, count=30) + odd))
    assert found is not None
    assert found.severity == "info"


def test_kind_that_is_rare_even_in_its_class_marks_nothing(photo: Make, survey_of: Make) -> None:
    odd = [photo(f"cat/o{n:02d}.jpg", mode="CMYK") for n in range(10)]
    found = checks_files.odd_mode(survey_of(sound(photo, count=300) + odd))
    assert found is not None
    assert found.severity == "info"


def test_small_and_huge_photos_among_others_are_extreme(photo: Make, survey_of: Make) -> None:
    odd = [photo("cat/tiny.jpg", size=(31, 200)), photo("dog/huge.jpg", size=(1700, 1200))]
    found = checks_files.extreme_size(survey_of(sound(photo) + odd))
    assert found is not None
    assert details(found) == {"cat/tiny.jpg": "31 × 200", "dog/huge.jpg": "1700 × 1200"}
    assert found.summary == (
        "1 photo with a side below 32 pixels and 1 photo over 64 times the median size: extreme "
        "next to the rest."
    )
    assert found.severity == "info"


def test_photos_just_within_the_sizes_allowed_are_no_finding(photo: Make, survey_of: Make) -> None:
    edge = [photo("cat/small.jpg", size=(32, 200)), photo("dog/large.jpg", size=(1600, 1200))]
    assert checks_files.extreme_size(survey_of(sound(photo) + edge)) is None


def test_folder_of_small_pictures_throughout_is_no_finding(photo: Make, survey_of: Make) -> None:
    assert checks_files.extreme_size(survey_of(sound(photo, size=(28, 28)))) is None
    few = [photo("cat/few.jpg", size=(28, 28))]
    assert checks_files.extreme_size(survey_of(sound(photo, size=(63, 63)) + few)) is None
    assert checks_files.extreme_size(survey_of(sound(photo, size=(64, 64)) + few)) is not None


def test_long_photos_are_extreme_either_way_the_longest_first(photo: Make, survey_of: Make) -> None:
    odd = [photo("cat/wide.jpg", size=(510, 100)), photo("dog/high.jpg", size=(100, 600))]
    edge = [photo("dog/edge.jpg", size=(500, 100))]
    found = checks_files.extreme_aspect(survey_of(sound(photo) + odd + edge))
    assert list(details(found).items()) == [
        ("dog/high.jpg", "6.0 to 1"),
        ("cat/wide.jpg", "5.1 to 1"),
    ]


def test_many_long_photos_are_a_warning(photo: Make, survey_of: Make) -> None:
    found = checks_files.extreme_aspect(survey_of(sound(photo, size=(510, 100))))
    assert found is not None
    assert found.severity == "warning"


def test_rotations_not_believed_are_listed_by_what_they_note(photo: Make, survey_of: Make) -> None:
    turned = [photo("cat/r.jpg", orientation=6)]
    survey = survey_of(sound(photo) + turned, num_rotations_ignored=1)
    found = checks_files.rotation_overruled(survey)
    assert found is not None
    assert details(found) == {"cat/r.jpg": "EXIF orientation 6"}
    assert found.severity == "warning"
    assert checks_files.rotation_overruled(survey_of(sound(photo) + turned)) is None


def test_reasons_of_a_real_scan_are_understood(tmp_path: Path) -> None:
    pixels_HWC = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for name in ("cat/ok.jpg", "cat/cut.jpg", "dog/ok.png", "dog/named.jpg", "dog/deep.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels_HWC).save(tmp_path / name, format="JPEG" if "cat" in name else "PNG")
    content = (tmp_path / "cat/cut.jpg").read_bytes()
    (tmp_path / "cat/cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "cat/empty.jpg").touch()
    (tmp_path / "loose.jpg").touch()
    (tmp_path / "README").touch()
    deep_HW = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    Image.fromarray(deep_HW).save(tmp_path / "dog/deep.png")
    with CueCache(tmp_path.parent / "cues.sqlite") as cue_cache:
        scanned = scan(
            tmp_path,
            preprocess=None,
            executor=SerialExecutor(),
            progress=SilentProgress(),
            cue_cache=cue_cache,
        )
    nothing = Duplicates(exact=(), near=(), groups=())
    survey = Survey(catalog=scanned.catalog, cues=scanned.cues, duplicates=nothing)
    lost = details(checks_files.unreadable(survey))
    assert lost == {"cat/empty.jpg": "empty file", "loose.jpg": "not in a class folder"}
    assert set(details(checks_files.truncated(survey))) == {"cat/cut.jpg"}
    named = details(checks_files.wrong_extension(survey))
    assert named == {"dog/named.jpg": "PNG file named .jpg"}
    assert details(checks_files.odd_mode(survey)) == {"dog/deep.png": "16 bits a channel"}
