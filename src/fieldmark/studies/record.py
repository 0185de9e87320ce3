"""The study's folder and `study.json`: what was asked, what was planned, and how it ended.

In: plain values. Out: paths, and a frozen `StudyRecord`, in and out of JSON.
Not covered: the trials themselves (`trials.sqlite`, see `study.store`) and what they show
(`study.effects`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import check_schema
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.trials import settings_of

STUDY_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The paths of a study; nothing is read or created by making one."""

    path: Path

    @property
    def study_json(self) -> Path:
        """What was asked, what was planned, how it ended."""
        return self.path / "study.json"

    @property
    def recipe_toml(self) -> Path:
        """The recipe that settings are laid over."""
        return self.path / "recipe.toml"

    @property
    def trials_sqlite(self) -> Path:
        """Every trial, as it stands."""
        return self.path / "trials.sqlite"

    @property
    def trials_csv(self) -> Path:
        """Every trial, a row each, for a spreadsheet."""
        return self.path / "trials.csv"

    @property
    def curves_csv(self) -> Path:
        """Every epoch of every trial, a row each."""
        return self.path / "curves.csv"

    @property
    def effects_json(self) -> Path:
        """What the fields do, in numbers."""
        return self.path / "effects.json"

    @property
    def study_html(self) -> Path:
        """The page, one self-contained file."""
        return self.path / "study.html"

    @property
    def best_toml(self) -> Path:
        """The best recipe, for `fieldmark train --recipe`."""
        return self.path / "best.toml"

    @property
    def best(self) -> Path:
        """The run folder of the best recipe trained in full."""
        return self.path / "best"

    @property
    def splits_csv(self) -> Path:
        """Which photo is in which split, for all trials and the best recipe's run."""
        return self.path / "splits.csv"

    @property
    def catalog_csv(self) -> Path:
        """One row for every file met."""
        return self.path / "catalog.csv"

    @property
    def work(self) -> Path:
        """Features and pixels that trials read; removed at the end."""
        return self.path / "work"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the study here."""
        return self.path / "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The settings that did best on validation photos."""

    settings: Mapping[str, Any]
    num_trials: int
    """Finished trials with these settings, over which the figures are means."""
    val_accuracy: float
    val_loss: float
    reason: str
    """In a sentence: by what it was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """What `study.json` holds."""

    command: str
    photos: str
    """The folder of photos."""
    split_file: str | None = None
    """A split already made, in full; None without one."""
    labels: str | None = None
    """A file of labels to put right, in full; None without one."""
    sha256: Mapping[str, str] | None = None
    """Of the content of each file that decides the split or the labels, as `resuming.digests` names
    them; None in studies begun before it was kept."""
    data_digest: str
    """Of all photos used and their labels; empty until they were read, as are the next two."""
    classes: tuple[str, ...]
    split_counts: Mapping[str, int]
    """Photos in "train", "validation" and "test"; no trial sees those of "test"."""
    recipe_name: str
    recipe_reason: str
    """In a sentence: why this recipe is what the settings change."""
    recipe: Mapping[str, Any]
    """Its tables, before any setting."""
    factors: tuple[Factor, ...]
    ranges: tuple[Range, ...]
    """Only of searches."""
    design: Literal["full", "fraction", "search"]
    """Every combination of values; a chosen part of them; or a search."""
    num_settings: int
    """Combinations tried; of a search, at most so many."""
    num_possible: int | None
    """Combinations that there are; None where ranges make them endless."""
    seeds: tuple[int, ...]
    """One trial each for every setting."""
    replicates: Literal["seed", "bootstrap"]
    """What differs between trials of one setting: all that `train.seed` draws, or which training
    photos are drawn again (strategy "probe", which draws nothing by itself)."""
    halving: bool
    """Whether hopeless trials are stopped early."""
    planned: Mapping[str, int]
    """Trials planned, by kind ("head", "network")."""
    engine: str
    """"local" or "ray"."""
    wants_final: bool = True
    """Whether the best recipe is trained in full at the end."""
    storage: str | None = None
    """Where a search is kept that several machines work on, without a password; None: here."""
    preset: str | None
    started: str
    """ISO 8601, with the offset from UTC."""
    ended: str | None = None
    seconds: float = 0.0
    """Spent so far, over all sittings."""
    status: Literal["running", "finished", "interrupted", "failed"] = "running"
    best: Best | None = None
    final: str | None = None
    """The folder of the best recipe's run, relative to the study; None while there is none."""
    notes: tuple[str, ...] = ()
    """Things to be read: derived choices, warnings."""
    versions: Mapping[str, str]
    """Of fieldmark, Python, torch and NumPy."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        best = None if self.best is None else asdict(self.best)
        return {
            "schema_version": STUDY_SCHEMA,
            **values,
            "factors": [factor.to_json() for factor in self.factors],
            "ranges": [span.to_json() for span in self.ranges],
            "best": best,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "StudyRecord":
        """Return what `to_json` wrote."""
        values = {key: value for key, value in content.items() if key != "schema_version"}
        for name in ("classes", "seeds", "notes"):
            values[name] = tuple(values[name])
        values["factors"] = tuple(map(Factor.from_json, values["factors"]))
        values["ranges"] = tuple(map(Range.from_json, values["ranges"]))
        if values["best"] is not None:
            best = values["best"]
            values["best"] = Best(**{**best, "settings": settings_of(best["settings"])})
        return cls(**values)


def write_record(folder: StudyFolder, record: StudyRecord) -> None:
    """Write `study.json`."""
    write_json(folder.study_json, record.to_json())


def read_record(folder: StudyFolder) -> StudyRecord:
    """Return the content of `study.json`.

    Raises:
        RunError: it is missing, cannot be read, or was written by a newer Fieldmark.
    """
    file = folder.study_json
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{folder.path} is not a study: it has no {file.name}. Give the folder that "
            "'fieldmark study' named at its end."
        ) from None
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RunError(f"{file} cannot be read as JSON: {error}.") from error
    check_schema(content, what=str(file), newest=STUDY_SCHEMA)
    try:
        return StudyRecord.from_json(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is incomplete: {error}. Start the study anew.") from error
