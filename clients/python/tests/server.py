"""A server of HTTP/1.1 on this machine that answers as a test says."""

import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from retrial import Client

PATIENCE_S = 20

DROP = object()
"""The connection ends without an answer."""


class Request(NamedTuple):
    method: str
    path: str
    query: dict
    headers: Any
    body: Any


class Stream(NamedTuple):
    """Parts of an answer without an end; then the connection ends."""

    parts: list


class Server:
    """Answers each request with what `answer(request)` gives: `(status, body)`, `(status, body, headers)`, a `Stream`, or `DROP`.
    A list is an answer for each request in turn."""

    def __init__(self, answer):
        self.requests = []
        self.connections = 0
        answers = iter(answer) if isinstance(answer, list) else None
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE_S

            def setup(self):
                super().setup()
                with lock:
                    outer.connections += 1

            def log_message(self, *_):
                pass

            def answer(self):
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                request = Request(self.command, unquote(parts.path), parse_qs(parts.query), self.headers, body)
                with lock:
                    outer.requests.append(request)
                    reply = next(answers) if answers else answer(request)
                if reply is DROP:
                    self.close_connection = True
                elif isinstance(reply, Stream):
                    self.close_connection = True
                    self.send_response(200)
                    self.send_header("Content-Type", "text/event-stream")
                    self.end_headers()
                    try:
                        self.wfile.write("".join(reply.parts).encode())
                    except ConnectionError:
                        # The client has heard enough.
                        pass
                else:
                    self.reply(*reply)

            def reply(self, status, body, headers=()):
                content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ClientCase(unittest.TestCase):
    """Tests with clients that wait for nothing, and keep what they would have waited for as `pauses`."""

    def client(self, server, **more):
        made = Client(
            server if isinstance(server, str) else server.url, timeout=PATIENCE_S, **{"patience": PATIENCE_S, **more}
        )
        made.pauses = []
        made._transport.pause = made.pauses.append
        self.addCleanup(made.close)
        return made
