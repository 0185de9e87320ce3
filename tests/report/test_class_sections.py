"""Each class by itself, with its typical and its odd photos."""

from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.report.answers import Answer
from fieldmark.report.class_sections import MAX_CLASSES, MAX_OF_KIND, class_sections
from fieldmark.report.entries import ClassScore, MixUp, Photo


def score(name: str, *, support: int) -> ClassScore:
    share = wilson_interval(support, support)
    return ClassScore(name=name, support=support, precision=share, recall=share, f1=share)


def answer(path: str, *, odds: float, predicted: str = "cat", group: str = "") -> Answer:
    return Answer(
        photo=Photo(path=path, sha256=""),
        group=group or path,
        true=path.partition("/")[0],
        predicted=predicted,
        confidence=0.9,
        second="dog",
        second_confidence=0.1,
        odds=odds,
    )


def paths(answers: tuple[Answer, ...]) -> list[str]:
    return [one.photo.path for one in answers]


def test_typical_has_the_highest_odds_and_odd_the_lowest_whether_right_or_wrong() -> None:
    answers = [answer(f"cat/{i:02d}", odds=float(i)) for i in range(20)]
    answers[0] = answer("cat/00", odds=-3.0, predicted="dog")
    (section,) = class_sections([score("cat", support=20)], answers)
    assert paths(section.typical) == [f"cat/{i}" for i in (19, 18, 17, 16, 15)]
    assert paths(section.odd) == [f"cat/{i:02d}" for i in range(5)]
    assert len(section.odd) == MAX_OF_KIND


def test_a_mistake_is_never_typical_and_no_photo_is_both() -> None:
    answers = [answer(f"cat/{i}", odds=float(i), predicted="dog") for i in range(3)]
    answers.append(answer("cat/right", odds=1.5))
    (section,) = class_sections([score("cat", support=4)], answers)
    assert paths(section.odd) == ["cat/0", "cat/1"]
    assert paths(section.typical) == ["cat/right"]


def test_a_single_photo_is_shown_once() -> None:
    (section,) = class_sections([score("cat", support=1)], [answer("cat/0", odds=2.0)])
    assert paths(section.odd) + paths(section.typical) == ["cat/0"]


def test_copies_are_shown_once() -> None:
    answers = [answer(f"cat/{i}", odds=float(i), group="g" if i > 6 else "") for i in range(10)]
    (section,) = class_sections([score("cat", support=10)], answers)
    assert paths(section.typical) == ["cat/9", "cat/6", "cat/5"]


def test_the_most_common_mix_ups_are_told_both_ways() -> None:
    answers = [
        answer("cat/0", odds=0, predicted="dog"),
        answer("cat/1", odds=0, predicted="fox"),
        answer("cat/2", odds=0, predicted="fox"),
        answer("dog/0", odds=0, predicted="cat"),
        answer("fox/0", odds=0, predicted="fox"),
    ]
    scores = [score("cat", support=3), score("dog", support=1), score("fox", support=1)]
    cat, dog, fox = class_sections(scores, answers)
    assert cat.taken_for == MixUp(true="cat", predicted="fox", times=2, support=3)
    assert cat.mistaken_for_it == MixUp(true="dog", predicted="cat", times=1, support=1)
    assert dog.mistaken_for_it == MixUp(true="cat", predicted="dog", times=1, support=3)
    assert fox.taken_for is None


def test_many_classes_show_fewer_photos_each_and_classes_without_photos_none() -> None:
    names = [f"class {i:03d}" for i in range(100)]
    answers = [
        answer(f"{name}/{i}", odds=float(i), predicted=name) for name in names for i in range(9)
    ]
    scores = [score("empty", support=0), *(score(name, support=9) for name in names)]
    sections = class_sections(scores, answers)
    assert [section.score.name for section in sections] == names[:MAX_CLASSES]
    assert {(len(one.typical), len(one.odd)) for one in sections} == {(2, 2)}
