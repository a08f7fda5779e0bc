"""The daemon as a whole: which experiments there are."""

from __future__ import annotations

import uuid
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union, cast

from .events import Event, follow
from .experiment import Experiment
from .transport import LONG_TIMEOUT_S, Transport, path_of

_MAX_BULK = 1000


class Client:
    """A daemon, `retrial serve`, at an address.

    `token` is an access key, if the daemon asks for one. `timeout`: seconds until an unanswered request counts as lost.
    `patience`: seconds for which requests are repeated that can be repeated safely, as while the daemon is restarted. Methods raise
    `Error`, or `Unreachable` if there was no answer. May be shared by threads.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7340",
        token: Optional[str] = None,
        timeout: float = 30,
        *,
        patience: float = 30,
    ) -> None:
        self._transport = Transport(url, token, timeout, patience)

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections; the next request opens another."""
        self._transport.close()

    def experiments(
        self,
        *,
        name: Optional[str] = None,
        status: Optional[str] = None,
        q: Optional[str] = None,
        label: Optional[str] = None,
        creator: Optional[str] = None,
        removed: bool = False,
        page: int = 100,
    ) -> Iterator[Dict[str, Any]]:
        """Summaries of all experiments, newest first, or of those with this name, status (such as `RUNNING`), label
        (`NAME=VALUE`), creator, or this text in their name or description; with `removed` also of removed ones. They are
        fetched by so many at a time."""
        query = {"name": name, "status": status, "q": q, "label": label, "creator": creator}
        query["removed"] = "true" if removed else None
        return self._transport.pages(path_of("experiments"), "experiments", query, page)

    def create(
        self,
        spec: Union[Mapping[str, Any], str],
        labels: Optional[Mapping[str, str]] = None,
        *,
        private: bool = False,
        idempotency_key: Optional[str] = None,
    ) -> Experiment:
        """Creates an experiment from what an experiment file says, or from the text of one. Without `run` its trials are run by clients: see
        `Experiment.optimize`. One that is `private` is seen by whoever creates it, and by admins.

        The same key never creates a second experiment; without one, that holds for the repetitions of this call.
        """
        answer = self._transport.request(
            "POST",
            path_of("experiments"),
            body={"spec": spec, "labels": {**(labels or {}), **({"accessibility": "PRIVATE"} if private else {})}},
            headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())},
            repeatable=True,
        )
        return self.experiment(answer["experiment"])

    def experiment(self, experiment: str) -> Experiment:
        """The experiment of an id. Asks nothing: whether it exists is found out by what is done with it."""
        return Experiment(self._transport, experiment)

    def check(self, spec: Union[Mapping[str, Any], str], *, dry_run: bool = False) -> Dict[str, Any]:
        """What the daemon makes of an experiment, without creating it: `{"name", "spec", "warnings"}`, and with `dry_run` the
        first trial's task as its backend would get it, as `preview`. Mistakes are the `details` of the `Error` that it raises.
        """
        body = {"spec": spec, "dry_run": dry_run}
        return cast(Dict[str, Any], self._transport.request("POST", path_of("check"), body=body, repeatable=True))

    def bulk(self, do: str, experiments: Sequence[str]) -> List[Dict[str, Any]]:
        """Does the same to many experiments: `stop`, `pause`, `resume` or `remove`. What came of each, in their order:
        `{"experiment", "ok"}`, with the `problem` where it was refused."""
        if isinstance(experiments, str):
            # Its characters would be beginnings of ids, of other experiments.
            raise TypeError("experiments is a list of ids, not a text")
        results: List[Dict[str, Any]] = []
        for start in range(0, len(experiments), _MAX_BULK):
            body = {"do": do, "experiments": list(experiments[start : start + _MAX_BULK])}
            # What is removed is not found when it is removed again.
            answer = self._transport.request("POST", path_of("bulk"), body=body, repeatable=do != "remove")
            results += answer["results"]
        return results

    def events(self, after: Union[int, str, None] = None) -> Iterator[Event]:
        """The events of all experiments that may be seen, each as it happens, without an end of its own: those from now on,
        or after the `Event.id` of one; 0 for all there are. `Event.experiment` says whose it is.

        Raises an error with the code E0639 when records have got other numbers: then begin anew.
        """
        if after is None:
            # Asked for, so that none is missed when the connection is lost before the first one has come.
            after = self.ready()["place"]
        return follow(self._transport, path_of("events"), after, of_one=False)

    # The daemon itself.

    def me(self) -> Dict[str, Any]:
        """Who asks, and with which role: `{"name", "role"}`."""
        return self._get("/v1/me")

    def limits(self) -> Dict[str, Any]:
        """How many trials run and how many may, by backend and by user, and the experiments that wait for their turn."""
        return self._get("/v1/limits")

    def verify(self) -> Dict[str, Any]:
        """Checks the daemon's whole history, as `retrial audit verify` does; `ok` says whether it is as it was written. For
        admins, and one at a time. Takes as long as the history is long."""
        path = path_of("audit", "verify")
        return cast(Dict[str, Any], self._transport.request("POST", path, repeatable=True, timeout=LONG_TIMEOUT_S))

    def health(self) -> Dict[str, Any]:
        """Says that the daemon lives, and its version."""
        return self._get("/healthz")

    def ready(self) -> Dict[str, Any]:
        """Says that its engine answers, and the number of the last event as `head`."""
        return self._get("/readyz")

    def metrics(self) -> str:
        """What it counts, in the text format of Prometheus; for admins."""
        return cast(str, self._transport.request("GET", "/metrics", is_text=True))

    def openapi(self) -> Dict[str, Any]:
        """The description of its interface."""
        return self._get("/v1/openapi.json")

    def _get(self, path: str) -> Dict[str, Any]:
        return cast(Dict[str, Any], self._transport.request("GET", path))
