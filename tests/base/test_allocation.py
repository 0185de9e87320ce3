"""Memory is kept where the system lets us, and users' own settings are left alone."""

import os
import platform
import subprocess
import sys

import pytest

from fieldmark.base.allocation import LARGE_PAGES, UNTOUCHED, allocation, keep_memory

ON_GLIBC = platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"
PROBE = """
import mmap, resource
from fieldmark.base.allocation import allocation, keep_memory
keeps = {keeps}
assert allocation().kept is False
if keeps:
    assert keep_memory()
    assert allocation().kept is True
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        block = bytearray(64 << 20)
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GLIBC_TUNABLES", "LD_PRELOAD", LARGE_PAGES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("fieldmark.base.allocation._in_force", [UNTOUCHED])


@pytest.mark.skipif(not ON_GLIBC, reason="only glibc can be told")
def test_freed_memory_is_handed_out_again_without_new_pages() -> None:
    def faults(*, keeps: bool) -> int:
        code = PROBE.format(keeps=keeps)
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return int(run.stdout)

    # Zeroed pages from the system are faulted in each time; kept ones are not.
    assert faults(keeps=True) < 0.1 * max(faults(keeps=False), 1000)


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_a_users_own_settings_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert not keep_memory()
    assert LARGE_PAGES not in os.environ
    assert not allocation().kept
    assert allocation().reason == f"{name} of the environment decides"


@pytest.mark.parametrize(("system", "library"), [("Darwin", ""), ("Linux", "musl")])
def test_other_systems_are_left_alone(
    system: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, ""))
    assert not keep_memory()
    assert allocation().reason == "only Linux with glibc can be told to keep it"
