"""Where the trials of a study come from, what stops them early, and who computes them.

In: a plan and a store. Out: a `Source`, a `Verdict`, an `Engine`.
"""

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fieldmark.base.cache import digest_of
from fieldmark.base.errors import RunError
from fieldmark.recipe import recipe_tables
from fieldmark.studies.engine import Engine, LocalEngine
from fieldmark.studies.plan import StudyPlan
from fieldmark.studies.record import StudyFolder, StudyRecord
from fieldmark.studies.schedule import Halving, Planned, Source, Verdict
from fieldmark.studies.store import SqliteTrials

if TYPE_CHECKING:
    from fieldmark.studies.search import Place

HIDDEN = ":***@"
"""What stands in a storage's URL for a password that was not written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where a search is kept."""

    place: "Place"
    owner: str
    """This study's part of it: where several machines work on one search, each has its own."""


def storage_of(
    url: str | None, *, folder: StudyFolder, plan: StudyPlan, record: StudyRecord
) -> Storage | None:
    """Return where the search is kept; None for designs.

    Args:
        url: as it was given; None: as the study was begun.
        folder: of the study.
        plan: what is searched.
        record: of the study.

    Raises:
        RecipeError: Optuna is not installed.
        RunError: the URL has a password, and was not given again.
    """
    if plan.design != "search":
        return None
    from fieldmark.studies.optuna_storage import local_storage
    from fieldmark.studies.search import ALONE, Place

    url = url or record.storage
    if url is None:
        return Storage(place=Place(storage=local_storage(folder.path), name="study"), owner=ALONE)
    if HIDDEN in url:
        raise RunError(
            f"The search is kept in {url}, and passwords are not written down. Give --storage with "
            "the whole URL again."
        )
    searched = {
        "photos": record.data_digest,
        "recipe": recipe_tables(plan.basis.recipe),
        "factors": [factor.to_json() for factor in plan.factors],
        "ranges": [span.to_json() for span in plan.ranges],
        "seeds": list(plan.seeds),
    }
    owner = digest_of({"host": socket.gethostname(), "folder": str(folder.path.resolve())})
    return Storage(place=Place(storage=url, name=f"fieldmark-{digest_of(searched)}"), owner=owner)


def source_of(store: SqliteTrials, *, plan: StudyPlan, storage: Storage | None) -> Source:
    """Return what gives out trials: those planned, which are put into the store, or a search's.

    Raises:
        RunError: the storage of a search cannot be used.
    """
    if storage is None:
        store.add(plan.trials())
        return Planned(store)
    from fieldmark.studies.search import Search, SearchSpace

    return Search(
        store,
        space=SearchSpace(
            factors=plan.factors,
            ranges=plan.ranges,
            num_settings=plan.num_settings,
            seeds=plan.seeds,
        ),
        place=storage.place,
        owner=storage.owner,
        seed=plan.basis.recipe.train.seed,
        kind=plan.basis.kind,
    )


def verdict_of(*, folder: StudyFolder, plan: StudyPlan, storage: Storage | None) -> Verdict | None:
    """Return what says which trials are hopeless; None where all may run to their end."""
    if not plan.halving:
        return None
    if storage is None:
        return Halving(trials=folder.trials_sqlite.resolve())
    from fieldmark.studies.search import SearchVerdict

    return SearchVerdict(place=storage.place, seeds=plan.seeds)


def engine_of(name: str, *, address: str | None) -> Engine:
    """Return who computes the trials.

    Raises:
        RecipeError: Ray is asked for and not installed.
        RunError: there is no cluster at the address.
    """
    if name == "local":
        return LocalEngine()
    from fieldmark.scale.ray_engine import RayEngine

    return RayEngine(address=address)
