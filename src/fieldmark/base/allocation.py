"""Memory that is kept once claimed, on Linux with glibc, where claiming it anew costs time.

In: nothing. Out: a process whose allocator hands freed memory out again instead of giving it back,
in large pages. A network claims and frees the same gigabytes at every step; without this a part of
the time goes to the system, which clears pages that were in use a moment ago (`EXPERIMENTS.md` has
the figures). The process holds on to some hundred MiB more.
Not covered: other systems and other C libraries, which are left as they are.
"""

import ctypes
import os
import platform
from dataclasses import dataclass

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""
THRESHOLDS_BYTES = (1 << 30, 1 << 25)
"""Smaller requests are served from memory that is kept. Some versions of glibc refuse the first."""
NEVER = (1 << 31) - 1
LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""PyTorch asks for transparent huge pages where this variable is 1 as it first claims memory."""
OWN_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Beginnings of variables by which users say themselves how memory is to be handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """How this process handles memory, and why."""

    kept: bool
    """Whether memory that it frees stays with it."""
    reason: str


UNTOUCHED = Allocation(kept=False, reason="only the command line changes how memory is handled")
_in_force = [UNTOUCHED]


def allocation() -> Allocation:
    """Return how this process handles memory, as the last `keep_memory` left it."""
    return _in_force[0]


def keep_memory() -> bool:
    """Let this process keep memory that it frees, and use large pages; return whether it will.

    To be called before torch is imported, or the large pages come too late. Users who have set
    something themselves keep what they have set. `allocation` says what came of it.
    """
    _in_force[0] = _asked_to_keep()
    return _in_force[0].kept


def _asked_to_keep() -> Allocation:
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return Allocation(kept=False, reason="only Linux with glibc can be told to keep it")
    if own := [name for name in os.environ if name.startswith(OWN_SETTINGS)]:
        return Allocation(kept=False, reason=f"{', '.join(sorted(own))} of the environment decides")
    os.environ.setdefault(LARGE_PAGES, "1")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return Allocation(kept=False, reason="glibc's mallopt was not found")
    is_set = any(mallopt(M_MMAP_THRESHOLD, threshold) for threshold in THRESHOLDS_BYTES)
    if not (bool(mallopt(M_TRIM_THRESHOLD, NEVER)) and is_set):
        return Allocation(kept=False, reason="glibc refused to keep it")
    pages = "large pages asked for" if os.environ[LARGE_PAGES] == "1" else "no large pages"
    return Allocation(kept=True, reason=f"glibc is told not to give it back, {pages}")
