"""Published datasets as text for the terminal.

In: the datasets that can be had by name, or one that was fetched. Out: text.
"""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fieldmark.base.tables import add_row, drawn, new_table

if TYPE_CHECKING:
    from fieldmark.datasets import Dataset
    from fieldmark.fetching import Fetched


def datasets(published: "Sequence[Dataset]") -> str:
    """Return what can be had by name: a table, the terms of each, and the command."""
    table = new_table("Name", "Photos", "Classes", "Page", right=("Photos", "Classes"))
    for dataset in published:
        photos, classes = f"{dataset.num_photos:,}", f"{len(dataset.counts):,}"
        add_row(table, dataset.name, photos, classes, dataset.page)
    terms = "".join(f"{dataset.name}: {dataset.licence}\n" for dataset in published)
    return "\n".join([drawn(table), terms, "Try it      fieldmark data NAME DIR\n"])


def fetched(result: "Fetched") -> str:
    """Return what `fieldmark data` ends with: how many photos lie where, and the next step."""
    folder = shlex.quote(str(result.folder))
    lines = [
        f"Photos      {result.num_photos:,} of {len(result.counts):,} classes in {result.folder}",
        f"Try it      fieldmark train {folder} --recipe {result.dataset.recipe}",
    ]
    return "\n".join(lines) + "\n"
