"""What can go wrong, in the daemon's words where it has said something."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

# Of the daemon's table of errors, `docs/errors`.
EXPERIMENT_ENDED = "E0402"
TRIAL_ENDED = "E0405"
BUDGET_USED = "E0408"
FENCED = "E0420"
"""Another worker has taken the trial over."""
OTHER_HISTORY = "E0639"
"""A place is one of another history than the daemon has now."""


class Error(Exception):
    """The daemon has refused a request, or failed.

    `code` such as `E0405` has a page in `docs/errors`; it is empty if the answer names none. `message` says what is wrong,
    `help` what to do about it, `details` are single mistakes such as `{"code", "path", "detail", "help"}`. `status` is that of
    HTTP, 0 if there was no answer. `repeated`: an earlier attempt of the same request was sent, and its answer lost.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        help: str = "",
        details: Sequence[Any] = (),
        status: int = 0,
        repeated: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.help = help
        self.details = list(details)
        self.status = status
        self.repeated = repeated

    def __str__(self) -> str:
        text = f"[{self.code}] {self.message}" if self.code else self.message
        for detail in self.details:
            if isinstance(detail, Mapping):
                place = f"{detail['path']}: " if detail.get("path") else ""
                text += f"\n  {place}{detail.get('detail', detail)}"
            else:
                text += f"\n  {detail}"
        if self.repeated:
            text += "\n  the answer to an earlier attempt was lost: it may have been done"
        return f"{text}\n  help: {self.help}" if self.help else text


class Unreachable(Error):
    """No answer: nobody listens, the connection broke, or it took too long."""


class TakenOver(Error):
    """The trial is another worker's by now, or has ended: what this worker says of it counts no more."""


class Stopped(Exception):
    """The trial need not go on: an early stopping rule, or a person, has ended it. Raised by `AskedTrial.report`."""


def refusal(status: int, body: Optional[Mapping[str, Any]], fallback: str, repeated: bool) -> Error:
    """The error of an answer in the form of RFC 9457 (problem+json); `fallback` is its text where it has another form."""
    body = body or {}

    def text(*keys: str) -> str:
        return next((value for key in keys if isinstance(value := body.get(key), str) and value), "")

    details = body.get("errors")
    return Error(
        text("detail", "title") or fallback,
        code=text("code"),
        help=text("help"),
        details=details if isinstance(details, list) else (),
        status=status,
        repeated=repeated,
    )
