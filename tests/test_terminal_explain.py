"""Explained photos as the terminal shows them."""

from pathlib import Path

from fieldmark import terminal_explain
from fieldmark.evaluation.intervals import Estimate
from fieldmark.explaining import Explanation
from fieldmark.report.entries import Photo
from fieldmark.report.explained import ClassPicture, Explained, ExplainedPhoto, Neighbour


def photo(path: str, *, share: float | None = 0.314, num_neighbours: int = 2) -> ExplainedPhoto:
    nearest = Neighbour(
        photo=Photo(path="cat/1.png", sha256=""), label="cat", similarity=0.9, is_same_file=False
    )
    named = ClassPicture(name="cat", probability=0.9876, file="pictures/1.png", border_share=share)
    return ExplainedPhoto(
        path=path,
        true="dog",
        side="",
        doubt=(),
        unfamiliarity=None,
        is_unfamiliar=None,
        pictures=(named,),
        neighbours=(nearest,) * num_neighbours,
    )


def text(*photos: ExplainedPhoto, left_out: tuple[tuple[str, str], ...] = ()) -> str:
    told = Explained(
        run="runs/run-001",
        photos=photos,
        left_out=left_out,
        backbone="resnet18",
        layers=(("layer4", 7, 7),),
        num_views=1,
        resize="squash",
        border=Estimate(value=0.3, low=0.2, high=0.35),
        sanity=None,
        border_cue=None,
        num_training=2,
        num_training_in_all=2,
    )
    return terminal_explain.explanation(Explanation(path=Path("runs/explain-001"), explained=told))


def test_each_photo_has_its_row() -> None:
    row = next(
        line for line in text(photo("a.jpg"), photo("b.jpg")).splitlines() if "a.jpg" in line
    )
    assert row.split() == ["a.jpg", "cat", "98.8", "dog", "31", "2", "of", "2", "cat"]


def test_what_is_not_known_is_left_blank() -> None:
    told = text(photo("a.jpg", share=None, num_neighbours=0), photo("b.jpg"))
    row = next(line for line in told.splitlines() if "a.jpg" in line)
    assert row.split() == ["a.jpg", "cat", "98.8", "dog"]


def test_a_long_table_is_cut_and_counted() -> None:
    told = text(*(photo(f"{index}.jpg") for index in range(23)))
    assert "19.jpg" in told
    assert "20.jpg" not in told
    assert "and 3 more photos" in told


def test_it_ends_with_the_verdict_and_the_places() -> None:
    told = text(photo("a.jpg"), photo("b.jpg"), left_out=(("x.txt", "no image"),))
    assert "It looks at the inside of the photos: 30.0 % of the evidence" in told
    assert told.endswith(
        "Page        runs/explain-001/explain.html\n"
        "Pictures    runs/explain-001/pictures\n"
        "Left out    1 file, listed on the page\n"
    )
