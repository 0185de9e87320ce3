"""What belongs together is one group, whose name says nothing and changes only with the group."""

import hashlib
import random
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.groups import crossing, find_groups
from fieldmark.data.stratify import Group, carve


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def row(path: str, *, content: str | None = None, is_usable: bool = True) -> CatalogRow:
    """A photo; `content` is what its bytes are, by default its own."""
    return CatalogRow(
        path=path,
        label=path.partition("/")[0],
        width=1,
        height=1,
        num_bytes=1,
        sha256=digest(content or path),
        status="used" if is_usable else "excluded",
        reason="" if is_usable else "truncated",
    )


def catalog(*rows: CatalogRow) -> Catalog:
    return Catalog(root=Path("photos"), rows=tuple(sorted(rows, key=lambda row: row.path)))


def partition(groups: dict[str, str]) -> set[frozenset[str]]:
    """The groups as sets of paths, whatever they are called."""
    members: dict[str, set[str]] = {}
    for path, group in groups.items():
        members.setdefault(group, set()).add(path)
    return {frozenset(of) for of in members.values()}


def test_a_photo_that_stands_alone_is_named_by_its_content() -> None:
    assert find_groups(catalog(row("a/1"))) == {"a/1": digest("a/1")}


def test_the_smallest_digest_of_a_group_names_it() -> None:
    photos = catalog(row("a/1"), row("a/2"), row("a/3"))
    groups = find_groups(photos, together=[("a/1", "a/2")])
    assert groups["a/1"] == groups["a/2"] == min(digest("a/1"), digest("a/2"))
    assert groups["a/3"] == digest("a/3")


def test_copies_near_duplicates_and_users_groups_are_united_across_each_other() -> None:
    photos = catalog(
        row("a/1", content="x"),
        row("b/2", content="x"),  # a copy of a/1
        row("a/3"),  # near-duplicate of b/2
        row("a/4"),  # of a/3's group by the user
        row("c/5"),
        row("c/6"),
    )
    groups = find_groups(
        photos, together=[("b/2", "a/3")], grouped_by={"a/3": "g", "a/4": "g", "c/5": "h"}
    )
    assert partition(groups) == {
        frozenset({"a/1", "b/2", "a/3", "a/4"}),
        frozenset({"c/5"}),
        frozenset({"c/6"}),
    }


def test_files_that_take_no_part_have_no_group_but_still_tie() -> None:
    photos = catalog(row("a/1"), row("a/2", is_usable=False), row("a/3"))
    groups = find_groups(photos, together=[("a/1", "a/2", "a/3"), ("a/1", "not/there")])
    assert partition(groups) == {frozenset({"a/1", "a/3"})}


def test_a_users_group_is_no_photos_content() -> None:
    # A file whose content is the very name of the group is still no part of it.
    photos = catalog(row("a/1"), row("a/2", content="g"))
    assert len(set(find_groups(photos, grouped_by={"a/1": "g"}).values())) == 2


def test_photos_added_to_a_users_group_do_not_change_its_name() -> None:
    before, after = (catalog(*(row(f"a/{n}") for n in range(count))) for count in (5, 500))
    named = {row.path: "patient 1" for row in after.rows}
    assert (
        find_groups(before, grouped_by=named)["a/0"] == find_groups(after, grouped_by=named)["a/0"]
    )


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6)), min_size=1, max_size=25),
    st.lists(st.lists(st.integers(0, 24), min_size=2, max_size=4), max_size=8),
    st.randoms(use_true_random=False),
)
def test_groups_are_the_connected_components(
    kinds: list[tuple[int, int]], together: list[list[int]], shuffler: random.Random
) -> None:
    rows = [row(f"a/{n:02}", content=str(content)) for n, (content, _) in enumerate(kinds)]
    named = {f"a/{n:02}": f"g{name}" for n, (_, name) in enumerate(kinds) if name < 4}
    tied = [[f"a/{n:02}" for n in of] for of in together]
    groups = find_groups(catalog(*rows), together=tied, grouped_by=named)
    # The oracle: spread the lowest number over every link until nothing changes any more.
    links = [[r.path for r in rows if r.sha256 == one] for one in {r.sha256 for r in rows}]
    links += [[path for path, name in named.items() if name == one] for one in named.values()]
    links += [[path for path in of if path in groups] for of in tied]
    lowest = {r.path: n for n, r in enumerate(rows)}
    for _ in rows:
        for link in links:
            lowest |= dict.fromkeys(link, min((lowest[path] for path in link), default=0))
    assert partition(groups) == partition({path: str(n) for path, n in lowest.items()})
    shuffler.shuffle(rows)
    shuffler.shuffle(tied)
    again = find_groups(
        Catalog(root=Path("elsewhere"), rows=tuple(rows)), together=tied, grouped_by=named
    )
    assert again == groups


def test_groups_of_many_are_drawn_as_often_as_groups_of_few() -> None:
    num, size = 2000, 5
    photos = catalog(*(row(f"a/{n}-{copy}") for n in range(num) for copy in range(size)))
    tied = [[f"a/{n}-{copy}" for copy in range(size)] for n in range(num)]
    names = set(find_groups(photos, together=tied).values())
    assert len(names) == num
    parts = carve([Group(digest=name, labels={"a": size}) for name in names], {"test": 0.2}, seed=0)
    # Were the smallest place of its photos a group's own, two thirds of them would be drawn.
    assert abs(Counter(parts.values())["test"] - 400) < 4 * (num * 0.2 * 0.8) ** 0.5


def test_crossing_photos_are_told_with_their_companions() -> None:
    sides = {
        "t1": "test",
        "t2": "test",
        "t3": "test",
        "a": "train",
        "b": "train",
        "v": "validation",
    }
    groups = {"t1": "x", "a": "x", "b": "x", "t2": "y", "v": "y", "t3": "z"}
    assert crossing(sides, groups) == {"t1": ("a", "b"), "t2": ("v",)}
    assert crossing(sides, groups, others=["train"]) == {"t1": ("a", "b")}
    assert crossing(sides, groups, side="validation") == {}
    assert crossing(sides, groups, side="train", others=["test"]) == {"a": ("t1",), "b": ("t1",)}
    assert crossing(sides, {}) == {}
