"""Events as they happen: a stream that goes on after a lost connection where it stopped."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional

from .errors import Error, Unreachable
from .transport import PASSING, Transport, pause_after

_LONGEST_RETRY_S = 30.0


class Event(NamedTuple):
    """A fact of the journal."""

    seq: int
    """Its number; `events(after=seq)` goes on after it."""
    kind: str
    """Its name, such as `TrialEnded`; all are in `docs/events.md`."""
    data: Any
    """What it says."""

    @property
    def experiment(self) -> str:
        """The experiment that it is of."""
        return str(self.data["experiment"])


class Message(NamedTuple):
    """What one block of the stream says. Anything may be missing."""

    id: Optional[str]
    event: str
    data: Optional[str]
    retry_ms: Optional[int]


def follow(transport: Transport, path: str, after: int) -> Iterator[Event]:
    """The events after a number, each once, for as long as the caller wants more or until the daemon says that there will
    be none (status 204, as the specification of server-sent events has it).

    A lost connection is opened again, for as long as the patience lasts. Raises `Error` for what that does not cure.
    """
    last, failures, retry_s, heard = after, 0, 0.0, time.monotonic()
    while True:
        try:
            stream = transport.stream(
                path, {"after": last}, {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
            )
        except Error as error:
            passing = isinstance(error, Unreachable) or error.status in PASSING
            if not passing or time.monotonic() - heard > transport.patience:
                raise
            failures += 1
        else:
            heard = time.monotonic()
            try:
                if stream.is_empty:
                    return
                for message in messages(stream.lines()):
                    failures, heard = 0, time.monotonic()
                    if message.retry_ms is not None:
                        retry_s = min(message.retry_ms / 1000, _LONGEST_RETRY_S)
                    if message.data is None or message.id is None or not message.id.isdigit():
                        continue
                    seq = int(message.id)
                    if seq > last:
                        last = seq
                        yield Event(seq, message.event, json.loads(message.data))
            except (OSError, http.client.HTTPException):
                # Nothing for longer than the timeout, or a broken connection.
                failures, heard = failures + 1, time.monotonic()
            finally:
                stream.close()
        transport.pause(max(retry_s, pause_after(failures or 1)))


def messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """The blocks of a `text/event-stream`, by the WHATWG's specification. A block that has no end is no block."""
    fields: Dict[str, Any] = {}
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if fields:
                retry = fields.get("retry", "")
                data = fields.get("data")
                yield Message(
                    fields.get("id"),
                    fields.get("event", "message"),
                    None if data is None else "\n".join(data),
                    int(retry) if retry.isdigit() else None,
                )
            fields = {}
            continue
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "data":
            fields.setdefault("data", []).append(value)
        elif name in ("id", "event", "retry"):
            fields[name] = value
