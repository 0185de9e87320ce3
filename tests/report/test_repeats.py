"""The page of folds and of seeds: complete, safe, true to the numbers, the same every time."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.repeated import Kind, Repeated
from fieldmark.evaluation.repeats import Answered, evaluate_repeats
from fieldmark.report.repeats import SECTIONS, write_repeats_page
from fieldmark.report.repeats_content import MOST_SHOWN, RepeatsFacts, repeats_content
from fieldmark.report.repeats_wording import follow_up, scale_told, told, verdict
from fieldmark.report.wording import NO_BREAK_SPACE

ParsePage = Callable[[str], Any]
HOSTILE = "<script>alert(1)</script> \"><img src=x onerror=y> 'a' {{ 7*7 }} &amp;".replace("/", "∕")


def write_photos(root: Path, classes: Sequence[str], *, per_class: int) -> dict[str, str]:
    generator = np.random.default_rng(0)
    digests = {}
    for label in classes:
        for place in range(per_class):
            path = root / label / f"{place:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(path)
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


def repeated_of(
    paths: Sequence[str],
    kind: Kind,
    *,
    num: int = 3,
    classes: Sequence[str] = ("cat", "dog", "fox"),
    skill: float = 2.0,
) -> Repeated:
    of = []
    for place in range(num):
        tested = paths[place::num] if kind == "folds" else paths
        table = answers(tested, classes, seed=place, skill=skill)
        name = f"fold-{place + 1}" if kind == "folds" else f"seed-{place}"
        evaluation = evaluate(table, num_resamples=20)
        of.append(Answered(name=name, test=table, evaluation=evaluation))
    groups = dict.fromkeys(paths[:4], "one")
    return evaluate_repeats(of, kind=kind, groups=groups, num_resamples=20)


def facts_of(result: Repeated, photos: Path, *, command: str = "fieldmark train p") -> RepeatsFacts:
    return RepeatsFacts(
        command=command,
        photos=str(photos),
        recipe="quick",
        strategy="probe",
        names=tuple(one.name for one in result.repeats),
        seconds=75.0,
        fieldmark_version="0.1.0",
        folder="run",
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    root = tmp_path_factory.mktemp("repeats") / "pets"
    return root, write_photos(root, ("cat", "dog", "fox"), per_class=30)


@pytest.fixture(scope="module", params=["folds", "seeds"])
def made(
    request: pytest.FixtureRequest,
    photos: tuple[Path, dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Repeated, str]:
    root, digests = photos
    result = repeated_of(tuple(digests), request.param)
    out = tmp_path_factory.mktemp("out") / "report.html"
    page = write_repeats_page(
        out, result, facts=facts_of(result, root), digests=digests, photos=root
    )
    return result, page.read_text("utf-8")


def test_the_same_repeats_give_the_same_bytes(
    made: tuple[Repeated, str], photos: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    (root, digests), (result, page) = photos, made
    out = tmp_path / "again.html"
    write_repeats_page(out, result, facts=facts_of(result, root), digests=digests, photos=root)
    assert out.read_text("utf-8") == page


def test_every_tag_closes_every_id_is_unique_and_links_lead_to_sections_and_reports(
    made: tuple[Repeated, str], parse_page: ParsePage
) -> None:
    result, page = made
    parsed = parse_page(page)
    assert parsed.errors == []
    ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    links = {attributes["href"] for attributes in parsed.all("a")}
    reports = {f"{one.name}/report.html" for one in result.repeats}
    assert links == {f"#{name}" for name, _ in SECTIONS} | reports


def test_the_page_asks_for_nothing_and_runs_nothing(
    made: tuple[Repeated, str], parse_page: ParsePage
) -> None:
    parsed = parse_page(made[1])
    assert not parsed.all("script", "link", "iframe", "object", "embed", "base", "form")
    sources = [attributes["src"] for attributes in parsed.all("img")]
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    for outside in ("http:", "https:", "@import", "url("):
        assert outside not in made[1]


def test_the_page_tells_the_verdict_each_repeat_and_the_spread(
    made: tuple[Repeated, str], parse_page: ParsePage
) -> None:
    result, page = made
    text = parse_page(page).text
    assert verdict(result).replace(NO_BREAK_SPACE, " ") in text
    assert follow_up(result).replace(NO_BREAK_SPACE, " ") in text
    for one in result.repeats:
        assert one.name in text
        assert told("accuracy", one.accuracy.value).replace(NO_BREAK_SPACE, " ") in text
    assert f"{100 * result.measures['accuracy'].sd:.2f} points" in text
    assert ("Bengio and Grandvalet 2004" in text) is (result.kind == "folds")
    assert ("choosing by the test photos" in text) is (result.kind == "seeds")


def test_each_measure_has_a_picture_of_all_repeats(
    made: tuple[Repeated, str], parse_page: ParsePage
) -> None:
    result, page = made
    drawn = page.partition('id="each"')[2].partition("</section>")[0].count('class="whisker"')
    assert drawn == 4 * (len(result.repeats) + (result.kind == "folds"))


def test_photos_wrong_with_every_seed_come_first(photos: tuple[Path, dict[str, str]]) -> None:
    root, digests = photos
    result = repeated_of(tuple(digests), "seeds", skill=0.5)
    content = repeats_content(result, facts=facts_of(result, root), digests=digests)
    titles = [group.title for group in content.wrong]
    assert titles == [
        "Wrong with all 3 seeds",
        "Wrong with 2 of 3 seeds",
        "Wrong with 1 of 3 seeds",
    ]
    assert sum(group.num_photos for group in content.wrong) == len(result.wrong)
    assert all(len(group.shown) == min(MOST_SHOWN, group.num_photos) for group in content.wrong)


def test_the_least_recognised_class_comes_first(made: tuple[Repeated, str], tmp_path: Path) -> None:
    content = repeats_content(made[0], facts=facts_of(made[0], tmp_path), digests={})
    recalls = [of.recall.mean for _, of in content.classes]
    assert recalls == sorted(recalls)


@pytest.mark.parametrize("kind", ["folds", "seeds"])
def test_without_an_error_there_is_a_whole_page(
    kind: Kind, photos: tuple[Path, dict[str, str]], tmp_path: Path, parse_page: ParsePage
) -> None:
    root, digests = photos
    result = repeated_of(tuple(digests), kind, skill=50)
    page = write_repeats_page(
        tmp_path / "report.html", result, facts=facts_of(result, root), digests=digests, photos=None
    )
    parsed = parse_page(page.read_text("utf-8"))
    assert parsed.errors == []
    assert "None: every" in parsed.text


def test_names_are_text_never_markup(tmp_path: Path, parse_page: ParsePage) -> None:
    classes = (HOSTILE, "dog", "fox")
    digests = write_photos(tmp_path, classes, per_class=8)
    result = repeated_of(tuple(digests), "folds", classes=classes, skill=0.5)
    facts = facts_of(result, tmp_path / HOSTILE, command=HOSTILE)
    page = write_repeats_page(
        tmp_path / "report.html", result, facts=facts, digests=digests, photos=tmp_path
    )
    parsed = parse_page(page.read_text("utf-8"))
    assert parsed.errors == []
    assert not parsed.all("script")
    assert HOSTILE in parsed.text


# Words


def test_seeds_that_make_no_difference_are_told_so(photos: tuple[Path, dict[str, str]]) -> None:
    result = repeated_of(tuple(photos[1]), "seeds", num=2)
    spread = {key: replace(one, low=one.high, sd=0.0) for key, one in result.measures.items()}
    alike = replace(result, measures=spread)
    assert verdict(alike) == ("The seed makes no difference here: both runs give the same results.")
    assert "wrong" in follow_up(alike)


def test_photos_wrong_with_every_seed_are_told_from_those_of_chance(
    photos: tuple[Path, dict[str, str]],
) -> None:
    result = repeated_of(tuple(photos[1]), "seeds", skill=0.5)
    always = [one for one in result.wrong if one.num_wrong == 3][:1]
    chance = [one for one in result.wrong if one.num_wrong < 3]
    assert follow_up(replace(result, wrong=(*always, *chance[:2]))) == (
        "Together the runs name 3 photos wrong, 1 of them by all 3 runs. It is hard, mislabelled "
        "or unlike the training photos, and no seed helps. The other 2 are a matter of chance."
    )
    assert follow_up(replace(result, wrong=(*always, *chance[:1]))).endswith(
        "The other is a matter of chance."
    )
    assert follow_up(replace(result, wrong=tuple(always))).endswith("no seed helps.")
    assert "none of them by all 3 runs" in follow_up(replace(result, wrong=tuple(chance)))
    assert follow_up(replace(result, wrong=())) == "No run names any test photo wrong."


def test_folds_are_told_beside_what_chance_makes(photos: tuple[Path, dict[str, str]]) -> None:
    result = repeated_of(tuple(photos[1]), "folds")
    spread = replace(result.measures["accuracy"], mean=0.9, sd=0.01, low=0.89, high=0.91)
    calm = replace(result, measures={**result.measures, "accuracy": spread}, sd_by_chance=0.012)
    assert "nothing says that any fold is better" in follow_up(calm)
    assert "about 1.20 points" in follow_up(calm)
    wild = replace(calm, sd_by_chance=0.002)
    assert "more than the choice of test photos explains" in follow_up(wild)


def test_the_ends_of_scales_have_no_more_digits_than_they_take() -> None:
    assert scale_told("accuracy", 1 - 0.005) == "99.5\u00a0%"
    assert scale_told("loss", 0.0) == "0"
    assert scale_told("loss", 0.02) == "0.02"
