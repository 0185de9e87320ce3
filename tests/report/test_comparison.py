"""The page of a comparison: complete, safe, the same every time."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.evaluation.disagreement import find_disagreements
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.paired import compare_predictions
from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.comparison import SECTIONS, write_comparison
from fieldmark.report.comparison_content import (
    MAX_PATTERNS,
    MAX_PER_PATTERN,
    Compared,
    ComparedRun,
    comparison_content,
)

ParsePage = Callable[[str], Any]
MAX_PAGE_BYTES = 3_000_000
HOSTILE = "<script>alert(1)</script> \"><img src=x onerror=y> 'a' {{ 7*7 }} &amp;".replace("/", "∕")


def write_photos(root: Path, classes: Sequence[str], *, per_class: int) -> dict[str, str]:
    """Write noisy pictures; return the SHA-256 of each by its path."""
    generator = np.random.default_rng(0)
    digests = {}
    for label in classes:
        for place in range(per_class):
            path = root / label / f"{place:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels_HWC = generator.integers(0, 255, (20, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels_HWC).save(path)
            digests[f"{label}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def answers(
    paths: Sequence[str], classes: Sequence[str], *, seed: int, skill: float
) -> Predictions:
    labels_N = np.array([list(classes).index(path.split("/")[0]) for path in paths])
    logits_NC = np.random.default_rng(seed).normal(size=(len(paths), len(classes)))
    logits_NC[np.arange(len(paths)), labels_N] += skill
    return Predictions(
        paths=tuple(paths),
        splits=np.array(["test"] * len(paths)),
        labels_N=labels_N,
        classes=tuple(classes),
        logits_NC=logits_NC.astype(np.float32),
    )


def compared_of(
    root: Path,
    *,
    skills: Sequence[float] = (1.0, 2.0),
    classes: Sequence[str] = ("cat", "dog", "fox"),
    names: Sequence[str] = "abcdefgh",
    per_class: int = 30,
) -> Compared:
    digests = write_photos(root, classes, per_class=per_class)
    tables = [
        answers(tuple(digests), classes, seed=seed, skill=skill)
        for seed, skill in enumerate(skills)
    ]
    runs: list[ComparedRun] = []
    for name, table in zip(names, tables, strict=False):
        numbers = evaluate(table, num_resamples=20)
        runs.append(
            ComparedRun(
                name=name,
                folder=f"/runs/{name}",
                accuracy=numbers.accuracy,
                loss=numbers.loss,
                f1=numbers.f1.macro,
                per_class=numbers.per_class,
                settings={"train.seed": len(runs), "train.epochs": 6},
                recipe="quick",
                seconds=83.0,
            )
        )
    return Compared(
        runs=tuple(runs),
        pairs=compare_predictions(tables, num_resamples=20),
        disagreements=find_disagreements(tables),
        num_photos=len(digests),
        num_groups=len(digests) - 3,
        digests=digests,
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Compared]:
    root = tmp_path_factory.mktemp("two")
    return root, compared_of(root)


@pytest.fixture(scope="module")
def page(two: tuple[Path, Compared], tmp_path_factory: pytest.TempPathFactory) -> str:
    root, compared = two
    out = tmp_path_factory.mktemp("out") / "new"
    written = write_comparison(out, compared, photos=root, command="fieldmark compare a b")
    assert written == out / "compare.html"
    return written.read_text("utf-8")


def test_the_same_comparison_gives_the_same_bytes(
    two: tuple[Path, Compared], page: str, tmp_path: Path
) -> None:
    root, compared = two
    again = write_comparison(tmp_path, compared, photos=root, command="fieldmark compare a b")
    assert again.read_text("utf-8") == page


def test_every_tag_closes_every_id_is_unique_and_every_link_has_its_target(
    page: str, parse_page: ParsePage
) -> None:
    parsed = parse_page(page)
    assert parsed.errors == []
    ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    links = {attributes["href"].removeprefix("#") for attributes in parsed.all("a")}
    assert {name for name, _ in SECTIONS} <= links <= set(ids)


def test_the_page_asks_for_nothing_and_runs_nothing(page: str, parse_page: ParsePage) -> None:
    parsed = parse_page(page)
    assert not parsed.all("script", "link", "iframe", "object", "embed", "base", "form")
    sources = [attributes["src"] for attributes in parsed.all("img")]
    assert len(sources) > 12
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    for outside in ("http:", "https:", "@import", "url("):
        assert outside not in page


def test_the_verdict_the_numbers_and_the_command_are_told(
    two: tuple[Path, Compared], page: str, parse_page: ParsePage
) -> None:
    _, compared = two
    text = parse_page(page).text
    assert compared.verdict in text
    (pair,) = compared.pairs
    assert f"{pair.only_first} photos only a names right, {pair.only_second} only b" in text
    assert "fieldmark compare a b" in text
    assert "The 90 photos form 87 groups" in text
    assert "train.seed 0 1" in text
    assert "train.epochs" not in text, "it is the same in both"


def test_photos_are_shown_by_who_names_them_right_the_surest_errors_first(
    two: tuple[Path, Compared],
) -> None:
    _, compared = two
    content = comparison_content(compared)
    by_title = {pattern.title: pattern for pattern in content.patterns}
    (pair,) = compared.pairs
    assert by_title["Only a is right"].num_photos == pair.only_first
    assert by_title["Only b is right"].num_photos == pair.only_second
    for pattern in content.patterns:
        shown = [entry.surest_error for _, entry in pattern.shown]
        assert shown == sorted(shown, reverse=True)
        assert len(shown) == min(MAX_PER_PATTERN, pattern.num_photos)
    frequent = [pattern.num_photos for pattern in content.patterns if "Only" in pattern.title]
    assert frequent == sorted(frequent, reverse=True)


def test_the_class_on_which_runs_differ_most_comes_first(two: tuple[Path, Compared]) -> None:
    content = comparison_content(two[1])
    spreads = [row.spread for row in content.classes]
    assert spreads == sorted(spreads, reverse=True)
    assert {row.name: row.support for row in content.classes} == {"cat": 30, "dog": 30, "fox": 30}


def test_a_class_that_a_run_does_not_know_is_told(
    two: tuple[Path, Compared], tmp_path: Path
) -> None:
    root, compared = two
    first, second = compared.runs
    known = {name: numbers for name, numbers in second.per_class.items() if name != "fox"}
    changed = replace(compared, runs=(first, replace(second, per_class=known)))
    row = comparison_content(changed).classes[0]
    assert (row.name, row.recalls[1]) == ("fox", None)
    written = write_comparison(tmp_path, changed, photos=root).read_text("utf-8")
    assert "unknown to it" in written


def test_many_runs_stay_within_bounds_and_have_a_sentence_a_pair(
    tmp_path: Path, parse_page: ParsePage
) -> None:
    compared = compared_of(tmp_path, skills=(0.5, 0.6, 0.7, 0.8, 1.5, 2, 3), per_class=60)
    content = comparison_content(compared, command="x")
    assert len(content.sentences) == len(content.accuracy) == 21
    assert len(content.patterns) == MAX_PATTERNS
    assert content.num_patterns_hidden > 0
    written = write_comparison(tmp_path / "out", compared, photos=tmp_path)
    text = parse_page(written.read_text("utf-8")).text
    assert "p is adjusted for the 21 pairs" in text
    assert "more combinations of runs that are right: see compare.csv" in text
    assert written.stat().st_size < MAX_PAGE_BYTES


def test_runs_without_any_difference_have_a_whole_page(
    two: tuple[Path, Compared], tmp_path: Path, parse_page: ParsePage
) -> None:
    root, compared = two
    table = answers(tuple(compared.digests), ("cat", "dog", "fox"), seed=0, skill=1)
    run = replace(compared.runs[0], name="again")
    same = replace(
        compared,
        runs=(compared.runs[0], run),
        pairs=compare_predictions([table, table], num_resamples=20),
        disagreements=(),
    )
    page = parse_page(write_comparison(tmp_path, same, photos=root).read_text("utf-8"))
    assert page.errors == []
    assert "a and again give the same names to all 90 photos." in page.text
    assert "Nowhere: all runs give the same name" in page.text
    assert "None: the settled recipes of these runs are the same." in page.text


def test_names_are_text_never_markup(tmp_path: Path, parse_page: ParsePage) -> None:
    classes = (HOSTILE, "dog")
    compared = compared_of(tmp_path, classes=classes, names=(HOSTILE, "b"), per_class=8)
    page = write_comparison(tmp_path / "out", compared, photos=tmp_path, command=HOSTILE)
    parsed = parse_page(page.read_text("utf-8"))
    assert parsed.errors == []
    assert not parsed.all("script")
    assert not [
        name for _, attributes in parsed.elements for name in attributes if name[:2] == "on"
    ]
    assert HOSTILE in parsed.text
