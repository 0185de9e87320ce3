"""What a wheel holds besides the package: ONNX Runtime's files for browsers, with their licences.

In: hatchling's build of a wheel, and two environment variables. Out: the files, verified, at the
place where `fieldmark.web_runtime` looks first. Where they cannot be had the wheel is built without
them, and says so: `fieldmark export --to web` then fetches them when a site is first written.
Not covered: an editable installation, which holds nothing; what the files are (`web_runtime`).
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, TypeVar

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

Result = TypeVar("Result")

FOLDER_VARIABLE = "FIELDMARK_ORT"
"""Environment variable: a folder with the files; a build fails where it lacks them."""
CHOICE_VARIABLE = "FIELDMARK_VENDOR"
"""Environment variable: one of the three below."""
CHOICES = AUTO, REQUIRED, NEVER = "auto", "required", "never"
"""Include them where they can be had at once; fail without them; do without."""
PATIENCE_S = 20.0
"""How long an installation waits for them at most: they are of use to those who export sites."""
EDITABLE = "editable"
"""What hatchling calls a wheel that only points to the source."""
SOURCE, PACKAGE = "src", "fieldmark"
LICENCES = "licences"
"""Folder of this repository with a folder for each package whose files are included."""


class NotVendoredError(Exception):
    """The files cannot be included; the message says why."""


class VendorRuntime(BuildHookInterface):  # type: ignore[misc] # hatchling is there in builds alone
    """Adds ONNX Runtime's files for browsers to a wheel."""

    staging: TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Include the files; called by hatchling before it builds.

        Args:
            version: of the wheel: "standard" or "editable".
            build_data: what hatchling takes from a hook; its `force_include` is added to.
        """
        choice, given = os.environ.get(CHOICE_VARIABLE) or AUTO, os.environ.get(FOLDER_VARIABLE)
        if choice not in CHOICES:
            self.app.abort(f"{CHOICE_VARIABLE} is '{choice}'. Allowed: {', '.join(CHOICES)}.")
        if version == EDITABLE or choice == NEVER:
            return
        with _importable(Path(self.root) / SOURCE):
            from fieldmark import web_runtime
        try:
            files = obtained(web_runtime, given, limit_s=PATIENCE_S if choice == AUTO else None)
            included = self._staged(files, web_runtime)
        except NotVendoredError as error:
            self._do_without(web_runtime.NAME, error, allowed=choice == AUTO and not given)
            return
        build_data["force_include"] |= included
        self.app.display_info(f"{web_runtime.NAME} is included, for 'fieldmark export --to web'.")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Delete what was written for hatchling to read."""
        if self.staging is not None:
            self.staging.cleanup()

    def _staged(self, files: Mapping[str, bytes], web_runtime: ModuleType) -> dict[str, str]:
        """Write the files and their licences; NotVendoredError where there is no room for them."""
        try:
            self.staging = TemporaryDirectory(prefix="fieldmark-")
            return staged(
                {**files, **licences(Path(self.root) / LICENCES / web_runtime.PACKAGE)},
                folder=Path(self.staging.name),
                place=f"{PACKAGE}/{web_runtime.VENDORED}",
            )
        except OSError as error:
            raise NotVendoredError(f"{type(error).__name__}: {error}") from error

    def _do_without(self, what: str, error: NotVendoredError, *, allowed: bool) -> None:
        if not allowed:
            self.app.abort(f"{what} cannot be included in the wheel: {error}.")
        self.app.display_warning(
            f"This wheel is built without {what}: {error}. 'fieldmark export --to web' will fetch "
            f"it when it is first used. To include it, name its folder with {FOLDER_VARIABLE}; "
            f"with {CHOICE_VARIABLE}={NEVER} it is not looked for."
        )


def obtained(
    web_runtime: ModuleType, given: str | None, *, limit_s: float | None
) -> Mapping[str, bytes]:
    """Return the content of the files by name.

    Args:
        web_runtime: the module of that name.
        given: a folder with them; None or nothing takes them from the cache or the network.
        limit_s: seconds to wait for them at most; None: as long as a download may take.

    Raises:
        NotVendoredError: they are not there, are other files, or did not come in time.
    """
    from fieldmark.base.progress import SilentProgress

    folder = Path(given).expanduser().absolute() if given else None
    try:
        found: Mapping[str, bytes] = within(
            limit_s, lambda: web_runtime.runtime_files(folder, progress=SilentProgress())
        )
    except web_runtime.RuntimeMissingError as error:
        raise NotVendoredError(error.reason) from error
    except TimeoutError as error:
        raise NotVendoredError(f"it did not come within {limit_s:.0f} s") from error
    except Exception as error:  # an installation shall not fail for what it can do without
        raise NotVendoredError(f"{type(error).__name__}: {error}") from error
    return found


def within(limit_s: float | None, work: Callable[[], Result]) -> Result:
    """Return what `work` returns, or stop waiting for it; it then ends with this process.

    A thread, since no limit of a socket holds while a name is looked up or npm is started.

    Raises:
        TimeoutError: it took longer.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(timeout=limit_s)


def licences(folder: Path) -> dict[str, bytes]:
    """Return the licences of a package by the name of their files."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def staged(files: Mapping[str, bytes], *, folder: Path, place: str) -> dict[str, str]:
    """Write files into a folder, and return where each of them goes in the wheel."""
    goes = {}
    for name, content in files.items():
        (folder / name).write_bytes(content)
        goes[str(folder / name)] = f"{place}/{name}"
    return goes


@contextmanager
def _importable(source: Path) -> Iterator[None]:
    """Let Fieldmark be imported from its source: builds have nothing installed but hatchling."""
    sys.path.insert(0, str(source))
    try:
        yield
    finally:
        sys.path.remove(str(source))
