"""Trials that this process runs: asked for, kept while they run, reported and told."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, Type

from .errors import BUDGET_USED, EXPERIMENT_ENDED, Error, Stopped, TakenOver
from .inside import Values, is_finite, values
from .transport import pause_after

if TYPE_CHECKING:
    from .experiment import Experiment

_log = logging.getLogger("retrial")

# A lease is renewed so many times while it lasts, so that one renewal may fail.
_RENEWALS = 3
# Failures of asking in a row at which the pause between two is as long as it gets.
_LONGEST_WAIT = 5


class AskedTrial:
    """A trial that was asked for, and is this process's for as long as its lease is renewed."""

    def __init__(
        self, experiment: "Experiment", number: int, params: Dict[str, Any], attempt: int, lease_seconds: int
    ) -> None:
        self.experiment = experiment
        self.number = number
        self.params = params
        self.attempt = attempt
        self.lease_seconds = lease_seconds
        self.taken_over: Optional[TakenOver] = None
        """Why it is no longer this process's, if so."""
        self.last_report: Optional[Dict[str, Any]] = None
        """The finite values that were reported last, `{"value", "metrics"}` or one of them."""

    def __repr__(self) -> str:
        return f"AskedTrial({self.experiment.id!r}, {self.number}, attempt={self.attempt})"

    def report(self, step: int, value: Optional[Values] = None, **metrics: Any) -> None:
        """Reports metrics at a step, as `retrial.report` does.

        Raises `Stopped` if the trial need not go on, `TakenOver` if it is another worker's by now.
        """
        if self.taken_over is not None:
            raise self.taken_over
        said = values(value, metrics)
        goes_on = self.experiment.report(self.number, self.attempt, step, value, **metrics)
        if is_finite(said):
            self.last_report = said
        if not goes_on:
            raise Stopped(f"trial {self.number} need not go on after step {step}")

    def tell(self, value: Optional[Values] = None, **metrics: Any) -> None:
        """Its result; without one, that it failed. Raises `TakenOver` if it is another worker's by now."""
        self.experiment.tell(self.number, self.attempt, value, **metrics)

    def renew(self) -> None:
        """Keeps it for another lease. Raises `TakenOver` if it is too late."""
        self.experiment.renew(self.number, self.attempt, self.lease_seconds)


class Leases:
    """Renews the leases of an experiment's running trials in a thread of its own, until it is left."""

    def __init__(self, experiment: "Experiment") -> None:
        self._experiment = experiment
        self._changed = threading.Condition()
        # When each trial is due, by the monotonic clock.
        self._due: Dict[AskedTrial, float] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="retrial-leases", daemon=True)

    def __enter__(self) -> "Leases":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def add(self, trial: AskedTrial) -> None:
        """Keeps a trial from now on."""
        with self._changed:
            self._due[trial] = _next(trial)
            self._changed.notify()

    def drop(self, trial: AskedTrial) -> None:
        """Keeps it no longer."""
        with self._changed:
            self._due.pop(trial, None)

    def _run(self) -> None:
        while True:
            trial = self._wait()
            if trial is None:
                self._experiment.release()
                return
            try:
                trial.renew()
            except TakenOver as error:
                trial.taken_over = error
                self.drop(trial)
                _log.warning("%r was taken over by another worker: %s", trial, error.message)
            except Error as error:
                _log.warning("the lease of %r could not be renewed: %s", trial, error.message)

    def _wait(self) -> Optional[AskedTrial]:
        """The next trial that is due, and due again a while later; none when it is over."""
        with self._changed:
            while not self._closed:
                trial = min(self._due, key=self._due.__getitem__, default=None)
                if trial is None:
                    self._changed.wait()
                    continue
                left = self._due[trial] - time.monotonic()
                if left <= 0:
                    self._due[trial] = _next(trial)
                    return trial
                self._changed.wait(left)
            return None


def _next(trial: AskedTrial) -> float:
    return time.monotonic() + trial.lease_seconds / _RENEWALS


class _Work:
    """What the workers of one call share."""

    def __init__(
        self,
        experiment: "Experiment",
        function: Callable[[Dict[str, Any], AskedTrial], Any],
        trials: Optional[int],
        catch: Tuple[Type[BaseException], ...],
        lease_seconds: int,
        leases: Leases,
    ) -> None:
        self.experiment = experiment
        self.function = function
        self.catch = catch
        self.lease_seconds = lease_seconds
        self.leases = leases
        self.over = threading.Event()
        self.failures: List[BaseException] = []
        self.done = 0
        self._left = trials
        self._lock = threading.Lock()

    def work(self, worker: str) -> None:
        """Runs one trial after the other until there are none."""
        try:
            while not self.over.is_set() and self._take():
                trial = self._ask(worker)
                if trial is None:
                    return
                self._run(trial)
                with self._lock:
                    self.done += 1
        except BaseException as error:
            self.over.set()
            self.failures.append(error)
            raise

    def _take(self) -> bool:
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    def _ask(self, worker: str) -> Optional[AskedTrial]:
        """The next trial; none when there will be none. Others that still run may be lost, and come back."""
        waits = 0
        while not self.over.is_set():
            try:
                asked = self.experiment.ask(1, worker=worker, lease_seconds=self.lease_seconds)
            except Error as error:
                # Whether for good is seen below.
                if error.code not in (EXPERIMENT_ENDED, BUDGET_USED):
                    raise
                asked = []
            if asked:
                return asked[0]
            if self.experiment.has_ended():
                return None
            waits = min(waits + 1, _LONGEST_WAIT)
            self.over.wait(pause_after(waits))
        return None

    def _run(self, trial: AskedTrial) -> None:
        failure = None
        self.leases.add(trial)
        try:
            said, failure = self._call(trial)
            trial.tell(said.get("value"), **said.get("metrics", {}))
        except TakenOver as error:
            _log.warning("the result of %r counts no more: %s", trial, error.message)
        finally:
            self.leases.drop(trial)
        if failure is None:
            return
        if not isinstance(failure, self.catch):
            raise failure
        _log.warning("%r failed: %r", trial, failure)

    def _call(self, trial: AskedTrial) -> Tuple[Dict[str, Any], Optional[Exception]]:
        """What the function gives, nothing for a failure, and the exception that is the cause."""
        try:
            said = values(self.function(trial.params, trial), {})
        except Stopped:
            return trial.last_report or {}, None
        except Error:
            # The daemon's trouble is no failure of the trial: when its lease ends, it is given to another worker.
            raise
        except Exception as error:
            return {}, error
        if is_finite(said):
            return said, None
        _log.warning("%r has failed: its function gave %r", trial, said)
        return {}, None


def optimize(
    experiment: "Experiment",
    function: Callable[[Dict[str, Any], AskedTrial], Any],
    workers: int,
    trials: Optional[int],
    catch: Tuple[Type[BaseException], ...],
    lease_seconds: int,
) -> int:
    """See `Experiment.optimize`."""
    if workers < 1:
        raise ValueError("at least one worker is needed")
    name = f"{socket.gethostname()}-{os.getpid()}"
    with Leases(experiment) as leases:
        work = _Work(experiment, function, trials, catch, lease_seconds, leases)
        if workers == 1:
            work.work(name)
            return work.done
        threads = [_thread(work, f"{name}-{place}") for place in range(workers)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            # Interrupted: no further trials; those that run are given to others when their leases end.
            work.over.set()
        if work.failures:
            raise work.failures[0]
        return work.done


def _thread(work: _Work, worker: str) -> threading.Thread:
    def run() -> None:
        try:
            work.work(worker)
        except BaseException:
            # Raised where the workers were started.
            pass
        finally:
            work.experiment.release()

    return threading.Thread(target=run, name=f"retrial-{worker}", daemon=True)
