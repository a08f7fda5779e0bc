"""The daemon as a whole: which experiments there are."""

from __future__ import annotations

import uuid
from typing import Any, Dict, Iterator, Mapping, Optional, Union

from .experiment import Experiment
from .transport import Transport, path_of


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
        page: int = 100,
    ) -> Iterator[Dict[str, Any]]:
        """Summaries of all experiments, newest first, or of those with this name, status (such as `RUNNING`), label
        (`NAME=VALUE`), creator, or this text in their name or description. They are fetched by so many at a time."""
        query = {"name": name, "status": status, "q": q, "label": label, "creator": creator}
        return self._transport.pages(path_of("experiments"), "experiments", query, page)

    def create(
        self,
        spec: Union[Mapping[str, Any], str],
        labels: Optional[Mapping[str, str]] = None,
        *,
        idempotency_key: Optional[str] = None,
    ) -> Experiment:
        """Creates an experiment from what an experiment file says, or from the text of one. Without `run` its trials are run by clients: see
        `Experiment.optimize`.

        The same key never creates a second experiment; without one, that holds for the repetitions of this call.
        """
        answer = self._transport.request(
            "POST",
            path_of("experiments"),
            body={"spec": spec, "labels": dict(labels or {})},
            headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())},
            repeatable=True,
        )
        return self.experiment(answer["experiment"])

    def experiment(self, experiment: str) -> Experiment:
        """The experiment of an id. Asks nothing: whether it exists is found out by what is done with it."""
        return Experiment(self._transport, experiment)
