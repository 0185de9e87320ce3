"""Published datasets that can be had by name.

In: a name. Out: where the dataset is published, what it holds, and under which terms.
None of them is part of Fieldmark. Not covered: getting them (see `fetching`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fieldmark.base.errors import DataError, nearest_spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset on Kaggle with one folder of photos per class."""

    name: str
    """What it is called here."""
    handle: str
    """Its owner and name on Kaggle, such as `prasunroy/natural-images`."""
    counts: Mapping[str, int]
    """How many photos each class has, by which a download is checked."""
    folder: str
    """Where in the archive the folders of the classes lie, with forward slashes."""
    copies: tuple[str, ...] = ()
    """Folders of the archive that hold the same photos again, and are left out."""
    licence: str
    """What is known of its terms, as a sentence."""
    recipe: str
    """The recipe to try on it first."""

    @property
    def page(self) -> str:
        """Its page, without the scheme."""
        return f"www.kaggle.com/datasets/{self.handle}"

    @property
    def num_photos(self) -> int:
        """How many photos it has in all."""
        return sum(self.counts.values())

    @property
    def by_hand(self) -> str:
        """How a person gets it without `fieldmark data`, as sentences."""
        copies = " and ".join(self.copies)
        beside = f" (not {copies}: it holds the same photos again)" if copies else ""
        return (
            f"By hand: open {self.page} in a browser, sign in, download the archive and unpack "
            f"it. The folder to give to train and explore is {self.folder} in it{beside}."
        )


NATURAL_IMAGES = Dataset(
    name="natural-images",
    handle="prasunroy/natural-images",
    counts={
        "airplane": 727,
        "car": 968,
        "cat": 885,
        "dog": 702,
        "flower": 843,
        "fruit": 1000,
        "motorbike": 788,
        "person": 986,
    },
    folder="natural_images",
    copies=("data/natural_images",),
    licence=(
        "Gathered from several sources; the terms on its page are unclear or non-commercial. It "
        "is not part of Fieldmark: read the page before you use it for more than research."
    ),
    recipe="reference",
)
"""Roy, Ghosh, Bhattacharya and Pal (2018), "Effects of Degradations on Deep Neural Network
Architectures"; the counts are those of the published archive."""

PUBLISHED = (NATURAL_IMAGES,)
"""Every dataset that can be had by name."""


def published(name: str) -> Dataset:
    """Return the dataset of that name.

    Raises:
        DataError: there is none; the message has the names that there are.
    """
    names = [dataset.name for dataset in PUBLISHED]
    for dataset in PUBLISHED:
        if dataset.name == name:
            return dataset
    hint = nearest_spelling(name, names)
    raise DataError(
        f"There is no dataset '{name}' to have by name.{hint} Allowed: {', '.join(names)}. "
        "Photos that you have already need no download: fieldmark train PHOTOS."
    )
