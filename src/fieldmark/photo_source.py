"""Where a run takes its photos from: the folder, read once, also for several runs.

In: a folder and how its photos become pixels. Out: `Gathered`, the same for each run that asks.
Not covered: reading (`collect`), and dividing the photos, which each run does for itself.
"""

from collections.abc import Callable
from pathlib import Path

from fieldmark.base.progress import Progress
from fieldmark.collect import Gathered, Given, gather, put_pixels, turn_back
from fieldmark.data.catalog import Catalog
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.scan import turned_paths


class PhotoSource:
    """Reads a folder for the first run that asks, and gives the others what it has read.

    Runs take their turns: the pixels of rotated photos are as the run at hand reads them.
    """

    def __init__(self, *, check: Callable[[Catalog], None] | None = None) -> None:
        """Read nothing yet.

        Args:
            check: called with the catalog once the folder is read; raises where it will not do.
        """
        self._check = check
        self._asked: tuple[Path, Preprocess | None, Given] | None = None
        self._upright: Gathered | None = None
        self._as_stored: Gathered | None = None
        self._is_turned_back = False

    def gather(
        self,
        root: Path,
        *,
        preprocess: Preprocess | None,
        given: Given,
        progress: Progress,
        storage: Path | None = None,
    ) -> Gathered:
        """Return the photos of a folder; the arguments are those of `collect.gather`.

        Raises:
            DataError: the folder cannot be read, or the labels file does not fit it.
        """
        asked = root, preprocess, given
        if self._upright is None or asked != self._asked:
            self._upright = gather(
                root, preprocess=preprocess, given=given, progress=progress, storage=storage
            )
            self._asked, self._as_stored, self._is_turned_back = asked, None, False
            if self._check is not None:
                self._check(self._upright.catalog)
        return self._upright

    def turn_back(self, gathered: Gathered, preprocess: Preprocess) -> Gathered:
        """Return the photos read without the rotation in their metadata, as `collect.turn_back`."""
        if self._as_stored is None or not self._is_turned_back:
            self._as_stored, self._is_turned_back = turn_back(gathered, preprocess), True
        return self._as_stored

    def turn_upright(self) -> None:
        """Read rotated photos again as they were gathered, if an earlier run turned them back."""
        gathered, asked = self._upright, self._asked
        if not self._is_turned_back or gathered is None or gathered.store is None or asked is None:
            return
        root, preprocess, _ = asked
        assert preprocess is not None
        put_pixels(
            [path for path in turned_paths(gathered.before) if path in gathered.store],
            root=root,
            preprocess=preprocess,
            store=gathered.store,
        )
        self._is_turned_back = False
