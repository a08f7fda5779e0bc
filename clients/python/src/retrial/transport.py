"""Requests to the daemon: connections that are kept, repetitions, errors. Knows nothing of experiments."""

from __future__ import annotations

import http.client
import json
import random
import select
import threading
import time
import weakref
from email.message import Message
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Tuple
from urllib.parse import quote, urlencode, urlsplit

from .errors import Error, Unreachable, refusal

Query = Mapping[str, Any]

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
LONG_TIMEOUT_S = 600.0
"""How long an answer may take that has to be computed from much."""
PASSING = (429, 502, 503, 504)
"""Statuses of a daemon, or of what stands before it, that is busy or being restarted."""


def path_of(*parts: Any) -> str:
    """A path of the interface; each part is one segment, whatever letters it has."""
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


class Transport:
    """Sends requests to one daemon. May be used by many threads: each has a connection of its own."""

    def __init__(self, url: str, token: Optional[str], timeout: float, patience: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address such as http://127.0.0.1:7340")
        self.url = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._timeout = timeout
        self.patience = patience
        self._own = threading.local()
        self._open: "weakref.WeakSet[http.client.HTTPConnection]" = weakref.WeakSet()
        self.pause: Callable[[float], None] = time.sleep

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Optional[Query] = None,
        body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        repeatable: Optional[bool] = None,
        timeout: Optional[float] = None,
        is_text: bool = False,
    ) -> Any:
        """Sends a request and gives the JSON of its answer, none if it is empty; or its text, if that is what it is.

        `timeout` is for an answer that takes longer than others. What is `repeatable` (by default everything but POST) is sent again after a lost answer, for as long as the
        patience lasts. What nobody has taken note of yet is sent again in any case.
        """
        if repeatable is None:
            repeatable = method != "POST"
        end = time.monotonic() + self.patience
        doubtful, failures = False, 0
        while True:
            try:
                status, answer_headers, content = self._once(
                    method, path, query, body, headers, self._timeout if timeout is None else timeout
                )
            except _Broken as broken:
                doubtful = doubtful or broken.sent
                error: Error = Unreachable(f"no answer from {self.url}: {broken}", help=_NOBODY, repeated=doubtful)
                again, wanted = repeatable or not broken.sent, 0.0
            else:
                if 200 <= status < 300:
                    return content.decode("utf-8", "replace") if is_text else _json(content)
                error = _refused(status, content, doubtful)
                # The first of them says that nothing was done.
                again = status in PASSING and (repeatable or status == 429)
                wanted = _retry_after(answer_headers)
            failures += 1
            pause = max(wanted, pause_after(failures))
            if not again or time.monotonic() + pause > end:
                raise error
            self.pause(pause)

    def pages(self, path: str, key: str, query: Query, limit: int) -> Iterator[Dict[str, Any]]:
        """The items of all pages of a list, fetched by so many at a time."""
        after = None
        while True:
            answer = self.request("GET", path, query={**query, "limit": limit, "after": after})
            yield from answer[key]
            after = answer.get("next")
            if after is None:
                return

    def stream(self, path: str, query: Query, headers: Mapping[str, str]) -> "Stream":
        """Opens an answer that has no end, on a connection of its own.

        Raises `Unreachable`, which may pass, or another `Error`.
        """
        connection = self._connection()
        try:
            response = self._send(connection, "GET", path, query, None, headers)
            if response.status not in (200, 204):
                raise _refused(response.status, response.read(), False)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(f"no answer from {self.url}: {error!r}", help=_NOBODY) from error
        except Error:
            connection.close()
            raise
        return Stream(connection, response)

    def close(self) -> None:
        """Closes the connections of all threads; the next request opens another."""
        for connection in list(self._open):
            connection.close()

    def release(self) -> None:
        """Closes the connection of this thread."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout)

    def _once(
        self,
        method: str,
        path: str,
        query: Optional[Query],
        body: Any,
        headers: Optional[Mapping[str, str]],
        timeout: float,
    ) -> Tuple[int, Message, bytes]:
        connection = getattr(self._own, "connection", None)
        if connection is not None and _is_stale(connection):
            self.release()
            connection = None
        sent = False
        try:
            if connection is None:
                connection = self._connection()
                self._own.connection = connection
                self._open.add(connection)
                connection.connect()
            connection.sock.settimeout(timeout)
            sent = True
            response = self._send(connection, method, path, query, body, headers or {})
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.release()
            raise _Broken(sent, error) from error
        if response.will_close:
            self.release()
        return response.status, response.headers, content

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Optional[Query],
        body: Any,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        all_headers: Dict[str, str] = {"Accept": "application/json", **headers}
        if self._token is not None:
            all_headers["Authorization"] = f"Bearer {self._token}"
        content = None
        if body is not None:
            content = json.dumps(body, allow_nan=False).encode()
            all_headers["Content-Type"] = "application/json"
        elif method != "GET":
            all_headers["Content-Length"] = "0"
        connection.request(method, self._prefix + path + _query_text(query or {}), content, all_headers)
        return connection.getresponse()


class Stream:
    """An open answer. Its lines are bytes; a line that does not come within the timeout is an `OSError`."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.is_empty = response.status == 204

    def lines(self) -> Iterable[bytes]:
        """The lines until the connection ends."""
        return iter(self._response.readline, b"")

    def close(self) -> None:
        """Ends it."""
        self._response.close()
        self._connection.close()


class _Broken(Exception):
    """No answer; `sent` if the other side may have got the request."""

    def __init__(self, sent: bool, cause: Exception) -> None:
        super().__init__(str(cause) or repr(cause))
        self.sent = sent


_NOBODY = "is `retrial serve` running there?"


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: longer each time, and never the same for two clients."""
    longest = min(_FIRST_PAUSE_S * 2.0 ** (failures - 1), _LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    # Nothing was asked for, so that whatever can be read is the end of the connection.
    sock = connection.sock
    if sock is None:
        return True
    if hasattr(select, "poll"):
        # Unlike select, for descriptors of any number.
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def _query_text(query: Query) -> str:
    pairs = []
    for name, value in query.items():
        several = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(name, item) for item in several if item is not None]
    return "?" + urlencode(pairs) if pairs else ""


def _json(content: bytes) -> Any:
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError as error:
        raise Error(f"the answer is no JSON: {error}", help="does the address name a daemon of Retrial?") from error


def _refused(status: int, content: bytes, repeated: bool) -> Error:
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    text = content[:200].decode("utf-8", "replace").strip()
    fallback = f"status {status}: {text}" if text else f"status {status}"
    return refusal(status, body if isinstance(body, dict) else None, fallback, repeated)


def _retry_after(headers: Message) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After") or 0))
    except ValueError:
        return 0.0
