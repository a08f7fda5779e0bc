"""One experiment of a daemon: what is known of it, what can be done to it, and its trials."""

from __future__ import annotations

import uuid
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
    cast,
)

from .asking import AskedTrial, optimize
from .errors import FENCED, TRIAL_ENDED, Error, TakenOver
from .events import Event, follow
from .inside import Values, checked_step, is_finite, values
from .records import Record, records
from .table import rows
from .transport import LONG_TIMEOUT_S, Transport, path_of

if TYPE_CHECKING:
    import pandas

_PAGE = 500
_LOG_BYTES = 1 << 18
_FOLLOW_PAUSE_S = 1.0

ENDED = ("FINISHED", "FAILED", "EARLY_STOPPED", "USER_CANCELED", "SYS_CANCELED", "NO_MORE_TRIAL")
"""Statuses of an experiment of which nothing runs and nothing more will be started."""
_LIVE_TRIALS = ("WAITING", "RUNNING", "UNKNOWN")


class Experiment:
    """An experiment, by its id. Methods raise `Error` as the daemon says it."""

    def __init__(self, transport: Transport, id: str) -> None:
        self._transport = transport
        self.id = id

    def __repr__(self) -> str:
        return f"Experiment({self.id!r})"

    def _request(self, method: str, *parts: Any, **more: Any) -> Any:
        return self._transport.request(method, path_of("experiments", self.id, *parts), **more)

    # What is known of it.

    def show(self, at: Union[None, int, str] = None) -> Dict[str, Any]:
        """The experiment with its specification; `at` a number of an event, or a time of RFC 3339, as it then stood."""
        return cast(Dict[str, Any], self._request("GET", query={"at": at}))

    def best(self) -> Any:
        """The best trial, `{"trial", "value", "params"}`; none if there is none. With several objectives the front, a list."""
        found = self._request("GET", "best")
        return found["best"] if found.get("front") is None else found["front"]

    def trials(self, status: Optional[str] = None) -> List[Dict[str, Any]]:
        """All trials in full, or those of a status such as `SUCCEEDED`, in the order of their numbers."""
        path = path_of("experiments", self.id, "trials")
        return list(self._transport.pages(path, "trials", {"status": status}, _PAGE))

    def trial(self, number: int) -> Dict[str, Any]:
        """One trial in full, with its reports and attempts."""
        return cast(Dict[str, Any], self._request("GET", "trials", number))

    def trials_frame(self) -> "pandas.DataFrame":
        """All trials as a table with a row for each: `trial`, `status`, `value`, `metric.*`, `param.*` (`param.net.layers` for
        nested ones), `attempts`, `suggested`, `ended`, `reason`. Raises `ImportError` without pandas; `trials` needs none.
        """
        import pandas

        frame = pandas.DataFrame.from_records(rows(self.trials()))
        for column in ("suggested", "ended"):
            if column in frame:
                frame[column] = pandas.to_datetime(frame[column], unit="ms", utc=True)
        return frame

    def logs(
        self,
        trial: int,
        stream: str = "stdout",
        *,
        attempt: Optional[int] = None,
        task: Optional[int] = None,
        follow: bool = False,
    ) -> Iterator[str]:
        """What a trial has written, in parts; `stream` is `stdout` or `stderr`, the attempt the newest by default, the task the first,
        which is 1. `follow`
        waits for more until the trial has ended."""
        query: Dict[str, Any] = {"stream": stream, "attempt": attempt, "task": task, "limit": _LOG_BYTES}
        place, last_look = None, not follow
        while True:
            part = self._request("GET", "trials", trial, "logs", query={**query, "from": place})
            place = part["next"]
            if part["text"]:
                yield part["text"]
            if not part["at_end"]:
                continue
            if last_look:
                return
            # What it wrote before it ended may have come after this part.
            last_look = self.trial(trial)["status"] not in _LIVE_TRIALS
            if not last_look:
                self._transport.pause(_FOLLOW_PAUSE_S)

    def events(self, after: Union[int, str] = 0) -> Iterator[Event]:
        """Its events, those there are and then each as it happens, without an end of its own.

        `after` is the `Event.id` of the last one that was seen, also by another process. Raises an error with the code E0639 if records
        have other numbers since: then begin anew.
        """
        return follow(self._transport, path_of("experiments", self.id, "events"), after, of_one=True)

    def records(self, after: int = 0, *, page: int = 1000) -> Iterator[Record]:
        """Its records as the journal holds them, those there are after a number, fetched by so many at a time."""
        return records(self._transport, path_of("experiments", self.id, "records"), after, page)

    def importance(
        self,
        method: Optional[str] = None,
        *,
        top: Optional[float] = None,
        within: Optional[float] = None,
        space: bool = False,
        metric: Optional[str] = None,
    ) -> Dict[str, Any]:
        """Which parameters mattered, `{"parameters": [{"name", "importance"}], "interactions": ...}`: by `ped-anova` what set
        the best trials apart (a share of them, `top`; compared with all, with the best share `within`, or with the whole `space`), by
        `fanova` what explains the variance. Of the objective, or of one metric."""
        query: Dict[str, Any] = {"method": method, "top": top, "within": within, "metric": metric}
        query["space"] = "true" if space else None
        return cast(Dict[str, Any], self._request("GET", "importance", query=query, timeout=LONG_TIMEOUT_S))

    def export(self, format: str = "csv") -> str:
        """All trials as the text of a file, `csv` or `json`, as `retrial export` writes it."""
        query = {"format": format}
        return cast(str, self._request("GET", "export", query=query, timeout=LONG_TIMEOUT_S, is_text=True))

    def resample(self) -> Dict[str, Any]:
        """Has every suggestion computed again and compared with the history: `ok`, how many were `checked`, and the first
        `difference`. Takes as long as the suggestions took; one at a time."""
        return cast(Dict[str, Any], self._request("GET", "resample", timeout=LONG_TIMEOUT_S))

    # What can be done to it.

    def update(self, spec: Union[Mapping[str, Any], str]) -> None:
        """Replaces the specification; the parts that a running experiment may change."""
        self._request("PUT", body={"spec": spec})

    def label(self, labels: Optional[Mapping[str, Optional[str]]] = None, *, private: Optional[bool] = None) -> None:
        """Sets labels, and takes away those that are none; others stay. `private`: whether from now on only its creator and
        admins see it."""
        changes = dict(labels or {})
        if private is not None:
            changes["accessibility"] = "PRIVATE" if private else "PUBLIC"
        self._request("POST", "labels", body={"labels": changes}, repeatable=True)

    def remove(self) -> None:
        """Hides it from lists and frees its name; it must have ended. By its id it may still be looked at."""
        self._request("DELETE")

    def clean(self, *, all: bool = False, dry_run: bool = False) -> Dict[str, Any]:
        """Removes what its trials left at the backend, as `clean` in its specification says, but for what belongs to the best
        trial unless `all` is said; it must have ended. `{"ok", "commands", "failures"}`; `dry_run` only tells the commands.
        """
        body = {"all": all, "dry_run": dry_run}
        answer = self._request("POST", "clean", body=body, repeatable=True, timeout=LONG_TIMEOUT_S)
        return cast(Dict[str, Any], answer)

    def stop(self) -> None:
        """Stops it and its running trials, for good."""
        self._request("POST", "stop", repeatable=True)

    def pause(self) -> None:
        """Starts no further trials."""
        self._request("POST", "pause", repeatable=True)

    def resume(self) -> None:
        """Starts trials again."""
        self._request("POST", "resume", repeatable=True)

    def clone(self, name: Optional[str] = None) -> "Experiment":
        """A new experiment with the same specification, and perhaps another name."""
        made = self._request("POST", "clone", body={"name": name})
        return Experiment(self._transport, made["experiment"])

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Has this point tried next."""
        self._request("POST", "queue", body={"params": params})

    def stop_trials(self, trials: Sequence[int]) -> None:
        """Stops single trials."""
        self._request("POST", "trials", "stop", body={"trials": list(trials)}, repeatable=True)

    def retry(self, trials: Sequence[int]) -> None:
        """Tries ended trials again."""
        self._request("POST", "trials", "retry", body={"trials": list(trials)})

    # Trials that clients run.

    def ask(
        self,
        count: int = 1,
        *,
        worker: Optional[str] = None,
        lease_seconds: int = 60,
        request_id: Optional[str] = None,
    ) -> List[AskedTrial]:
        """At most so many trials to run; fewer, or none, if no more may run now. Each is lent for so many seconds: without
        `renew` or `report` it is then given to another worker.

        The same `request_id` gets the same trials; without one, that holds for the repetitions of this call.
        """
        body = {
            "count": count,
            "worker": worker,
            "request_id": request_id or str(uuid.uuid4()),
            "lease_seconds": lease_seconds,
        }
        answer = self._request("POST", "ask", body=body, repeatable=True)
        given = answer["trials"]
        return [AskedTrial(self, told["trial"], told["params"], told["attempt"], lease_seconds) for told in given]

    def tell(self, trial: int, attempt: int, value: Optional[Values] = None, **metrics: Any) -> None:
        """The result of a trial: its value, or every metric of the objective by name; neither says that it failed.

        The same may be told twice. Raises `TakenOver` if it is another worker's by now, or has ended otherwise.
        """
        body: Dict[str, Any] = {"attempt": attempt}
        if value is None and not metrics:
            body["failed"] = True
        else:
            said = values(value, metrics)
            if not is_finite(said):
                raise ValueError(f"a result is finite, unlike {said}")
            body.update(_named(said))
        self._of_trial(trial, "tell", body)

    def report(self, trial: int, attempt: int, step: int, value: Optional[Values] = None, **metrics: Any) -> bool:
        """Reports metrics at a step; whether the trial is to go on.

        A step counts once. What is not finite is not sent, and the trial may go on. Raises `TakenOver` as `tell` does.
        """
        said = values(value, metrics)
        if not is_finite(said):
            return True
        body = {"attempt": attempt, "step": checked_step(step), **_named(said)}
        return bool(self._of_trial(trial, "report", body)["decision"] != "stop")

    def renew(self, trial: int, attempt: int, lease_seconds: int = 60) -> None:
        """Keeps a trial for so many seconds more. Raises `TakenOver` if it is too late."""
        self._of_trial(trial, "renew", {"attempt": attempt, "lease_seconds": lease_seconds})

    def optimize(
        self,
        function: Callable[[Dict[str, Any], AskedTrial], Any],
        workers: int = 1,
        trials: Optional[int] = None,
        *,
        catch: Tuple[Type[BaseException], ...] = (),
        lease_seconds: int = 60,
    ) -> int:
        """Runs trials by `function(params, trial)` until the experiment has ended, or so many trials have; how many it ran.

        The function gives the value, or a mapping of all metrics. It may `trial.report(step, value)`, which raises `Stopped`
        when the trial is not worth going on with: let that pass. One worker is the caller's thread, of several each is a
        thread of its own. While a function runs its trial is kept by another thread; if this process dies, another worker
        gets it.

        A trial whose function raises, or gives a value that is not finite, has failed. If the exception is one of `catch`,
        the next trial follows, else no further one begins and the exception is raised here. So is an `Error` of the daemon,
        after which the trial is given to another worker.
        """
        return optimize(self, function, workers, trials, catch, lease_seconds)

    def release(self) -> None:
        """Closes the connection of this thread, which is about to end."""
        self._transport.release()

    def has_ended(self) -> bool:
        """Whether nothing of it runs and nothing more will be started."""
        return bool(self.show()["status"] in ENDED)

    def _of_trial(self, trial: int, action: str, body: Mapping[str, Any]) -> Any:
        try:
            return self._request("POST", "trials", trial, action, body=body, repeatable=True)
        except Error as error:
            if error.code not in (TRIAL_ENDED, FENCED):
                raise
            taken = TakenOver(
                error.message,
                code=error.code,
                help=error.help,
                details=error.details,
                status=error.status,
                repeated=error.repeated,
            )
            raise taken from error


def _named(body: Mapping[str, Any]) -> Dict[str, Any]:
    """As the daemon names them: `value`, `values`."""
    names = {"metrics": "values"}
    return {names.get(key, key): value for key, value in body.items()}
