"""The page that explains photos, and its sentences."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.entries import Photo
from fieldmark.report.explain import photo_pictures, write_page
from fieldmark.report.explained import (
    BorderCue,
    ClassPicture,
    Explained,
    ExplainedPhoto,
    Neighbour,
    Sanity,
)
from fieldmark.report.explained_wording import border_verdict, cue_sentence, sanity_sentence

HEAT = np.eye(100, dtype=np.float32)


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


def picture(name: str, probability: float = 0.75) -> ClassPicture:
    return ClassPicture(
        name=name, probability=probability, file=f"pictures/{name}.png", border_share=0.31
    )


def neighbour(path: str, *, same: bool = False) -> Neighbour:
    label = path.partition("/")[0]
    photo = Photo(path=path, sha256="")
    return Neighbour(photo=photo, label=label, similarity=0.934, is_same_file=same)


def photo(path: str = "in/1.jpg", **given: Any) -> ExplainedPhoto:
    asked: dict[str, Any] = {
        "true": None,
        "side": "",
        "doubt": (),
        "unfamiliarity": None,
        "is_unfamiliar": None,
        "pictures": (picture("cat"),),
        "neighbours": (neighbour("cat/1.png"), neighbour("dog/2.png")),
        **given,
    }
    return ExplainedPhoto(path=path, **asked)


def explained(*photos: ExplainedPhoto, **given: Any) -> Explained:
    asked: dict[str, Any] = {
        "run": "runs/run-001",
        "photos": photos or (photo(), photo("in/2.jpg")),
        "left_out": (),
        "backbone": "resnet18",
        "layers": (("layer4", 7, 7),),
        "num_views": 2,
        "resize": "squash",
        "border": estimate(0.31, 0.25, 0.4),
        "sanity": Sanity(likeness=0.04, num_photos=2, num_networks=3),
        "border_cue": None,
        "num_training": 40,
        "num_training_in_all": 41,
        **given,
    }
    return Explained(**asked)


def page_of(told: Explained, folder: Path, **given: Any) -> str:
    image = Image.new("RGB", (400, 200), "white")
    pictures = {one.path: photo_pictures(image, [image] * len(one.pictures)) for one in told.photos}
    asked = {"pictures": pictures, "mean_heat_GG": HEAT, "photos": None, **given}
    return write_page(folder, told, **asked).read_text("utf-8")


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("</style>")[2]).split())


def test_the_page_is_complete_in_itself(tmp_path: Path) -> None:
    page = page_of(explained(), tmp_path)
    assert "<script" not in page
    assert not re.search(r"https?://|url\(", page)
    assert set(re.findall(r'src="(\w+:\w+/\w+)', page)) == {"data:image/webp"}
    assert page.count('class="card one') == 2


def test_what_a_name_holds_is_never_markup(tmp_path: Path) -> None:
    page = page_of(explained(photo("<b>&.jpg", true="<i>")), tmp_path)
    assert "<b>&" not in page
    assert "<i>" not in page.partition("</style>")[2].replace("<i style", "")
    assert "&lt;b&gt;&amp;.jpg" in page


def test_a_mistake_is_shown_for_both_classes(tmp_path: Path) -> None:
    wrong = photo(true="dog", pictures=(picture("cat"), picture("dog", 0.2)))
    page = page_of(explained(wrong), tmp_path)
    assert "is-wrong" in page
    assert page.count('class="look"') == 3
    told = words(page)
    assert "For cat, as it was named" in told
    assert "For dog, which it is" in told
    assert "1 of 1 Named wrong" in told


def test_where_the_nearest_photos_were_sought_is_told(tmp_path: Path) -> None:
    told = words(page_of(explained(), tmp_path / "run"))
    assert "among 40 of 41 training photos; 1 is" in told
    of_bundle = explained(has_thumbnails=True, num_training_in_all=40)
    told = words(page_of(of_bundle, tmp_path / "bundle"))
    assert "among 40 training photos of which thumbnails travel with the bundle; 1 is" in told
    told = words(page_of(explained(num_training=0), tmp_path / "none"))
    assert "The training photos could not be looked at." in told


def test_doubt_side_and_evidence_are_told(tmp_path: Path) -> None:
    told = words(page_of(explained(photo(side="train", doubt=("cat", "dog"))), tmp_path))
    assert "not sure: cat or dog" in told
    assert "This very photo was learned from." in told
    assert "1 of 2 are cat" in told
    assert "among 40 of 41 training photos" in told


def test_the_same_file_is_shown_but_does_not_count_as_evidence(tmp_path: Path) -> None:
    one = photo(neighbours=(neighbour("cat/1.png", same=True), neighbour("dog/2.png")))
    assert one.num_agreeing == 0
    told = words(page_of(explained(one), tmp_path))
    assert "0 of 1 others are cat" in told
    assert "the same file" in told
    assert "0 % Of the nearest training photos" in told


def test_without_evidence_training_photos_or_truth_the_page_says_so(tmp_path: Path) -> None:
    flat = photo(pictures=(replace(picture("cat"), border_share=None),), neighbours=())
    told = explained(flat, border=None, sanity=None, num_training=0, num_training_in_all=0)
    page = page_of(told, tmp_path, mean_heat_GG=np.zeros((100, 100), np.float32))
    text = words(page)
    assert "Nothing on these photos speaks for" in text
    assert "nothing speaks for it" in text
    assert "The training photos could not be looked at." in text
    assert "Named wrong" not in text
    assert 'class="mean"' not in page


def test_files_left_out_and_photos_beyond_the_page_are_told(tmp_path: Path) -> None:
    told = explained(photo(), photo("in/2.jpg"), left_out=(("in/x.txt", "no image"),))
    image = Image.new("RGB", (8, 8))
    pictures = {"in/1.jpg": photo_pictures(image, [image])}
    text = words(page_of(told, tmp_path, pictures=pictures))
    assert "1 of 2 photos; the pictures of all are in the folder" in text
    assert "in/x.txt no image" in text


def test_a_photo_is_reduced_and_keeps_its_shape() -> None:
    wide = photo_pictures(Image.new("RGB", (1000, 500)), [])
    assert (wide.plain.width, wide.plain.height) == (340, 170)
    small = photo_pictures(Image.new("RGB", (20, 30)), [])
    assert (small.plain.width, small.plain.height) == (20, 30)


@pytest.mark.parametrize(
    ("border", "begins"),
    [
        (estimate(0.5, 0.4, 0.6), "It looks at the border more than at the rest: 50.0"),
        (estimate(0.2, 0.1, 0.3), "It looks at the inside of the photos: 20.0"),
        (estimate(0.4, 0.3, 0.5), "It looks at the border as much as at the rest: 40.0"),
        (None, "Nothing on these photos"),
    ],
)
def test_the_verdict_goes_by_the_interval_and_the_area(border: Estimate, begins: str) -> None:
    assert border_verdict(explained(border=border)).startswith(begins)


def test_a_single_photo_is_not_generalised_from() -> None:
    one = explained(photo(), border=estimate(0.5, 0.5, 0.5))
    assert border_verdict(one).startswith("50.0")


def test_the_shortcut_test_and_the_attention_are_put_together() -> None:
    chance, far = estimate(0.2, 0.1, 0.3), estimate(0.7, 0.6, 0.8)
    cue = BorderCue(accuracy=far, chance=chance, is_shortcut=True)
    leaning = explained(border=estimate(0.5, 0.45, 0.55), border_cue=cue)
    assert "looks there, too" in cue_sentence(leaning)
    assert "could learn that" in cue_sentence(explained(border_cue=cue))
    harmless = replace(cue, is_shortcut=False)
    assert cue_sentence(explained(border_cue=harmless)).endswith("chance is 20.0\u00a0%.")
    assert cue_sentence(explained()) == ""


def test_maps_like_those_of_random_networks_are_not_to_be_trusted() -> None:
    assert sanity_sentence(explained()).endswith("they show what was learned.")
    blind = Sanity(likeness=0.62, num_photos=1, num_networks=3)
    assert "do not read much" in sanity_sentence(explained(sanity=blind))
    assert "1 photo and 3 networks" in sanity_sentence(explained(sanity=blind))
    assert sanity_sentence(explained(sanity=None)) == ""


def test_an_unfamiliar_photo_is_said_to_be_one_rather_than_doubted(tmp_path: Path) -> None:
    strange = photo(doubt=("cat", "dog"), unfamiliarity=1.5, is_unfamiliar=True)
    told = words(page_of(explained(strange), tmp_path))
    assert "unlike anything it was trained on" in told
    assert "not sure" not in told
