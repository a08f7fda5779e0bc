"""Events as they happen: a stream that goes on after a lost connection where it stopped."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional, Union

from .errors import OTHER_HISTORY, Error, Unreachable
from .transport import PASSING, Transport, pause_after

_LONGEST_RETRY_S = 30.0


class Event(NamedTuple):
    """A fact of the journal."""

    seq: int
    """Its number in the daemon's history. It changes when ended experiments leave the store for an archive; `id` says so."""
    kind: str
    """Its name, such as `TrialEnded`; all are in `docs/events.md`."""
    data: Any
    """What it says."""
    id: str
    """Its place in the history: `events(after=event.id)` goes on after it, also in another process."""

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


_PLACE = re.compile(r"([0-9]+)(?:@[0-9a-f]+)?")


def follow(transport: Transport, path: str, after: Union[int, str], *, of_one: bool) -> Iterator[Event]:
    """The events after a place, each once, for as long as the caller wants more or until the daemon says that there will be none
    (status 204, as the specification of server-sent events has it).

    A lost connection is opened again, for as long as the patience lasts. Where the daemon's history has become another one meanwhile,
    the events of one experiment are gone through anew, up to the last one that was seen. Raises `Error` for what that does not cure.
    """
    place, last = str(after), _number(str(after))
    # A text is the id of an event, and names its history; a number is one of today's history.
    is_id = isinstance(after, str)
    # The last event's position in its experiment, which is the same in every history; not known before the first one.
    position = 0 if of_one and last == 0 else None
    failures, retry_s, heard = 0, 0.0, time.monotonic()
    while True:
        try:
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": place} if is_id else {})}
            stream = transport.stream(path, {"after": place}, headers)
        except Error as error:
            if error.code == OTHER_HISTORY and position is not None and last > 0:
                place, last, is_id = "0", 0, False
                continue
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
                    seq = _number(message.id or "")
                    if message.data is None or message.id is None or seq <= last:
                        continue
                    place, last, is_id = message.id, seq, True
                    data = json.loads(message.data)
                    if position is None or data["position"] > position:
                        position = data["position"] if of_one else None
                        yield Event(seq, message.event, data, message.id)
            except (OSError, http.client.HTTPException):
                # Nothing for longer than the timeout, or a broken connection.
                failures, heard = failures + 1, time.monotonic()
            finally:
                stream.close()
        transport.pause(max(retry_s, pause_after(failures or 1)))


def _number(place: str) -> int:
    """The number in a place; -1 of what is none."""
    found = _PLACE.fullmatch(place)
    return int(found.group(1)) if found else -1


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
