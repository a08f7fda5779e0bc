"""Records as the journal holds them: proof, and all that a program needs that knows their format."""

from __future__ import annotations

import base64
import struct
from typing import Iterator, NamedTuple, Optional

from .errors import OTHER_HISTORY, Error
from .transport import Transport

# Where the header of a record has its number and who caused it: `journal/src/record.rs`.
_SEQ = struct.Struct("<Q")
_SEQ_PLACE = 6
_ACTOR = struct.Struct("<I")
_ACTOR_PLACE = 31


class Record(NamedTuple):
    """A record."""

    seq: int
    """Its number; `records(after=seq)` goes on after it, until an archive gives records other numbers."""
    actor: Optional[str]
    """The user who caused it; none if that was the program."""
    data: bytes
    """The record itself: header, payload and checksum."""


def records(transport: Transport, path: str, after: int, limit: int) -> Iterator[Record]:
    """The records after a number, fetched by so many at a time, until there are no more."""
    history, more = None, True
    while more:
        page = transport.request("GET", path, query={"after": after, "limit": limit})
        history = history or [page["history"]]
        if history != [page["history"]]:
            raise Error("records have got other numbers meanwhile", code=OTHER_HISTORY, help="begin anew")
        for text in page["records"]:
            data = base64.b64decode(text, validate=True)
            (seq,) = _SEQ.unpack_from(data, _SEQ_PLACE)
            (actor,) = _ACTOR.unpack_from(data, _ACTOR_PLACE)
            yield Record(seq, page["actors"].get(str(actor)), data)
        after, more = page["next"], page["more"]
