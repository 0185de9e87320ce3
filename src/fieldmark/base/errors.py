"""The exceptions that Fieldmark raises for what its user can put right.

```
FieldmarkError            base of all; the command line prints its message and exits with 2
├── DataError             the folder of photos: missing, empty, one class only, unreadable files
├── SplitError            a split that cannot be made, or a split file that does not fit the photos
├── RecipeError           an unknown key, a value out of range, a recipe that is not TOML
├── WeightsError          pretrained weights that are missing, unsafe or too few for the backbone
├── BundleError           a model bundle that is incomplete, altered or too new
├── RunError              a run folder that is missing, in use, incomplete or too new
├── EvaluationError       predictions from which the numbers asked for cannot be computed
├── ExportError           a model that cannot be exported, or does not do the same once it is
└── ServeError            a server that cannot be started as it was asked for
```

Every message says what was wrong, the value or file, what is allowed, and what to do next.
Anything else that escapes is a defect of Fieldmark and exits with 1.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class FieldmarkError(Exception):
    """Something that the user can put right; the message says how."""


class DataError(FieldmarkError):
    """The folder of photos cannot be used as it is."""


class SplitError(FieldmarkError):
    """The split asked for cannot be made from these photos."""


class RecipeError(FieldmarkError):
    """A recipe key or value is not allowed."""


class WeightsError(FieldmarkError):
    """Pretrained weights are missing or do not fit the backbone."""


class BundleError(FieldmarkError):
    """A model bundle is incomplete, altered or too new."""


class RunError(FieldmarkError):
    """A run folder is missing, in use, incomplete or too new."""


class EvaluationError(FieldmarkError):
    """The numbers asked for cannot be computed from these predictions."""


class ExportError(FieldmarkError):
    """A model cannot be exported, or the exported file does not do what the model does."""


class ServeError(FieldmarkError):
    """A server cannot be started as it was asked for."""


def nearest_spelling(word: str, allowed: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the closest allowed word, or an empty string."""
    matches = get_close_matches(word, list(allowed), n=1)
    return f" Did you mean '{matches[0]}'?" if matches else ""
