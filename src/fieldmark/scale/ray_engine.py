"""Trials of a study on Ray: on all cores of this machine, or on a cluster.

In: trials and the work that each is. Out: how each ended, as it ends; the same as on one machine.
A trial whose worker was killed, or whose machine is gone, is begun again, three times at most. Ray
is an extra; it is imported where it is asked for.
Not covered: how the machines of a cluster see the study's folder, which all of them read (a shared
file system), and which Fieldmark they have installed.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fieldmark.base.errors import RecipeError, RunError
from fieldmark.studies.engine import OnDone, Work
from fieldmark.studies.trials import Trial, TrialEnd

MISSING = (
    "--engine ray needs Ray, which is not installed. Install it with pip install 'fieldmark[ray]', "
    "or leave out --engine: trials then run one after another on this machine."
)
MAX_ATTEMPTS = 3
"""As often a trial is begun whose workers die, as in `study.store`."""
STOP_WITHIN_S = 30.0
"""How long trials that are asked to stop may take to save where they are."""
LOOK_EVERY_S = 1.0
"""Between two looks for Ctrl-C while all trials run on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a trial takes of a machine."""

    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a cluster has."""

    cpus: int
    """Of all machines together."""
    most_cpus: int
    """Of the machine with the most."""
    gpus: int


@dataclass(slots=True, kw_only=True)
class _Running:
    """A trial that was sent off."""

    trial: Trial
    needs: Needs
    attempts: int = 1


@dataclass(slots=True, kw_only=True)
class RayEngine:
    """Computes trials on Ray; several at once, where there is room."""

    address: str | None = None
    """Of a cluster, such as "10.0.0.1:6379" or "auto"; None: Ray is started on this machine, and
    ended with the study."""
    num_cpus: int | None = None
    """How many cores to use where Ray is started here; None: all that this process may use."""
    _running: dict[Any, _Running] = field(default_factory=dict)
    """By Ray's reference to what will come of it."""

    def __post_init__(self) -> None:
        """Refuse at once where Ray is not installed.

        Raises:
            RecipeError: it is not; the message says how to get it.
        """
        # Nobody is told of this study: Ray's reports of its use are off unless turned on.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # A cluster asks for its token where it has one; Ray shows it in this mode only.
        if self.address is not None and _has_token():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise RecipeError(MISSING) from error

    def run(self, trials: Iterable[Trial], work: Work, on_done: OnDone) -> None:
        """Compute every trial; see `study.engine.Engine`.

        Raises:
            RunError: there is no cluster at the address, or it cannot be entered.
            KeyboardInterrupt: the study was stopped; trials were asked to save where they are.
        """
        with _connected(self.address, num_cpus=self.num_cpus):
            try:
                self._run(iter(trials), work, on_done)
            except BaseException:
                self._stop()
                raise

    def _run(self, trials: Iterator[Trial], work: Work, on_done: OnDone) -> None:
        import ray

        room = _room()
        task, shared, threads = _task(), ray.put(work), _num_threads()
        is_left = True
        while is_left or self._running:
            # A trial is taken once there is a core for it: what a search proposes, and whether
            # another process may take it, depends on that.
            while is_left and self._taken() < room.cpus:
                trial = next(trials, None)
                if trial is None:
                    is_left = False
                    break
                needs = needs_of(trial, threads=threads, room=room)
                self._send(task, shared, threads, _Running(trial=trial, needs=needs))
            for reference in self._ready():
                one = self._running.pop(reference)
                end = _end_of(reference)
                if end is None and one.attempts < MAX_ATTEMPTS:
                    one.attempts += 1
                    self._send(task, shared, threads, one)
                else:
                    on_done(one.trial, end or _died())

    def _send(self, task: Any, shared: Any, threads: int, one: _Running) -> None:
        needs = one.needs
        placed = task.options(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=0)
        self._running[placed.remote(shared, one.trial, threads)] = one

    def _taken(self) -> int:
        return sum(one.needs.cpus for one in self._running.values())

    def _ready(self) -> list[Any]:
        import ray

        if not self._running:
            return []
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=LOOK_EVERY_S)
        return list(ready)

    def _stop(self) -> None:
        """Interrupt the trials that run, as Ctrl-C does, so that they save where they are."""
        import ray
        from ray.exceptions import RayError

        with contextlib.suppress(RayError, OSError):
            for reference in self._running:
                ray.cancel(reference, force=False)
            if self._running:
                references = list(self._running)
                ray.wait(references, num_returns=len(references), timeout=STOP_WITHIN_S)
        self._running.clear()


def needs_of(trial: Trial, *, threads: int, room: Room) -> Needs:
    """Return what a trial takes: a head one core, a network the threads that it has here.

    A network takes a GPU, too, where there are any. Nothing takes more than the largest machine
    has, since it would wait forever.
    """
    if trial.kind == "head":
        return Needs(cpus=1)
    return Needs(cpus=max(1, min(threads, room.most_cpus)), gpus=min(1, room.gpus))


def _has_token() -> bool:
    """Tell whether this machine has a token for clusters, where Ray looks for it."""
    places = [os.environ.get("RAY_AUTH_TOKEN_PATH"), Path.home() / ".ray" / "auth_token"]
    return "RAY_AUTH_TOKEN" in os.environ or any(one and Path(one).is_file() for one in places)


def _task() -> Any:
    """Return what a worker does, as Ray takes it."""
    import ray

    return ray.remote(_run_there)


def _run_there(work: Work, trial: Trial, threads: int) -> TrialEnd:
    """Run a trial in a worker, with as many threads as it would have where the study was begun.

    Ray gives a worker one thread a core that it asked for; with another number of threads, sums
    differ in their last digits.
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    with threadpool_limits(limits=threads, user_api="blas"):
        return work(trial)


def _num_threads() -> int:
    import torch

    return torch.get_num_threads()


def _end_of(reference: Any) -> TrialEnd | None:
    """Return how a trial ended; None where its worker or its machine died.

    Raises:
        KeyboardInterrupt: somebody stopped the worker.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError

    try:
        end: TrialEnd = ray.get(reference)
    except TaskCancelledError as error:
        raise KeyboardInterrupt("a worker was stopped") from error
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt("a worker was stopped") from error
        # `Work` raises nothing of its own: the worker has another Fieldmark, or none.
        problem = " ".join(str(cause or error).split())
        return TrialEnd(status="failed", error=f"its worker could not run it: {problem}")
    except RayError:
        return None
    return end


def _died() -> TrialEnd:
    error = f"its worker died {MAX_ATTEMPTS} times, perhaps for want of memory"
    return TrialEnd(status="failed", error=error)


@contextmanager
def _connected(address: str | None, *, num_cpus: int | None) -> Iterator[None]:
    """Use a cluster inside the block, or Ray on this machine, which is ended after it."""
    import ray

    if ray.is_initialized():
        yield
        return
    from fieldmark.base.executor import available_cores

    where: dict[str, Any] = {"address": address}
    if address is None:
        cores = num_cpus or available_cores()
        where = {"address": "local", "num_cpus": cores, "include_dashboard": False}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if address is None:
            raise RunError(f"Ray could not be started on this machine: {reason}.") from error
        raise RunError(
            f"The Ray cluster at {address} cannot be used: {reason}. See that it runs there, that "
            "its Ray and Python are of the versions here, and that its token is known to this "
            "machine (RAY_AUTH_TOKEN, or ~/.ray/auth_token), where it asks for one."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _room() -> Room:
    """Return what the machines have that are there now."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    cpus = [int(resources.get("CPU", 0)) for resources in alive]
    gpus = sum(int(resources.get("GPU", 0)) for resources in alive)
    return Room(cpus=max(1, sum(cpus)), most_cpus=max([1, *cpus]), gpus=gpus)
