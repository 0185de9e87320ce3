import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from fieldmark.base.errors import RunError
from fieldmark.evaluation.document import from_plain, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str
    size: float | None

    def __post_init__(self) -> None:
        if self.size == 13:
            raise ValueError("not 13")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    count: int
    leaves: tuple[Leaf, ...]
    by_rank: Mapping[int, Leaf]
    rows: tuple[tuple[int, ...], ...]


TREE = Tree(
    count=2,
    leaves=(Leaf(name="a", size=1.5), Leaf(name="b", size=None)),
    by_rank={5: Leaf(name="c", size=0.0)},
    rows=((1, 2), ()),
)
PLAIN: dict[str, Any] = {
    "count": 2,
    "leaves": [{"name": "a", "size": 1.5}, {"name": "b", "size": None}],
    "by_rank": {"5": {"name": "c", "size": 0.0}},
    "rows": [[1, 2], []],
}


def test_a_tree_becomes_plain_json_values_and_itself_again() -> None:
    assert to_plain(TREE) == PLAIN
    assert from_plain(Tree, json.loads(json.dumps(PLAIN)), where="tree") == TREE


def test_a_whole_number_is_read_as_a_float_where_one_is_meant() -> None:
    leaf = from_plain(Leaf, {"name": "a", "size": 3}, where="leaf")
    assert leaf.size == 3.0
    assert isinstance(leaf.size, float)


def test_further_keys_are_ignored() -> None:
    assert from_plain(Leaf, {"name": "a", "size": 1.0, "new": 7}, where="leaf").name == "a"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": "2"}, "tree.count: expected int, met '2'"),
        ({"count": True}, "tree.count: expected int, met True"),
        ({"count": 2.0}, "tree.count: expected int, met 2.0"),
        ({"leaves": {}}, "tree.leaves: expected list, met {}"),
        ({"leaves": [PLAIN["leaves"][0], {"name": "b"}]}, r"tree.leaves\[1\]: there is no size"),
        ({"leaves": [{"name": None, "size": 1.0}]}, r"tree.leaves\[0\].name: expected str"),
        ({"leaves": [{"name": "a", "size": float("nan")}]}, "size: must be finite, met nan"),
        ({"leaves": [{"name": "a", "size": 13}]}, r"tree.leaves\[0\]: not 13"),
        ({"by_rank": {"first": {}}}, "tree.by_rank: the keys must be whole numbers"),
        ({"by_rank": {"5": []}}, r"tree.by_rank.5: expected dict, met \[\]"),
        ({"rows": [[1], [2, "x"]]}, r"tree.rows\[1\]\[1\]: expected int, met 'x'"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        from_plain(Tree, PLAIN | changes, where="tree")
