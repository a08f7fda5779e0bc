"""The client beside the daemon's own description of its interface, `schemas/openapi.json`: neither has what the other lacks."""

import base64
import inspect
import json
import os
import re
import unittest
from pathlib import Path

from retrial import Client, Experiment
from server import ClientCase, Server

DOCUMENT = Path(__file__).resolve().parents[3] / "schemas" / "openapi.json"

# What the client does not send on purpose, and why: an operation, or a part of one.
NOT_SENT = {}
# Methods that send nothing of their own.
SILENT = {
    "close": "only closes connections",
    "experiment": "asks nothing",
    "release": "only closes a connection",
    "optimize": "asks, reports, renews and tells by the methods of these names",
    "has_ended": "is `show`",
    "trials_frame": "is `trials`, and needs pandas",
}

SPEC = {"name": "n"}


def record(seq):
    header = bytes([1, 1]) + bytes(4) + seq.to_bytes(8, "little") + bytes(17) + (20).to_bytes(4, "little") + bytes(40)
    return base64.b64encode(header).decode()


def answer(request):
    """Enough for each method to end."""
    if request.path.endswith("/events"):
        return 204, None
    if request.path.endswith("/records"):
        return 200, {"records": [record(3)], "actors": {"20": "ann"}, "next": 3, "more": False, "history": None}
    given = {"trial": 4, "params": {}, "attempt": 1}
    # Lists and logs have a second part.
    is_last = bool({"after", "from"} & set(request.query))
    return 200, {
        "experiment": "new",
        "experiments": [],
        "trials": [given] if request.path.endswith("/ask") else [],
        "results": [],
        "best": None,
        "decision": "continue",
        "head": 7,
        "place": "7",
        "text": "",
        "next": None if is_last else 1,
        "at_end": is_last,
    }


def use(client):
    """Calls every method with everything that it takes, and says which."""
    used = set()

    def call(target, method, *args, **more):
        used.add((type(target), method))
        result = getattr(target, method)(*args, **more)
        return list(result) if inspect.isgenerator(result) else result

    for name in ("me", "limits", "verify", "health", "ready", "metrics", "openapi", "events"):
        call(client, name)
    call(client, "events", 5)
    call(client, "experiments", name="a", status="RUNNING", q="t", label="a=b", creator="ann", removed=True)
    experiment = call(client, "create", SPEC, {"team": "a"}, idempotency_key="k")
    call(client, "check", SPEC, dry_run=True)
    call(client, "bulk", "stop", ["a"])
    call(experiment, "show", at=7)
    for name in ("best", "resample", "remove", "stop", "pause", "resume"):
        call(experiment, name)
    call(experiment, "trials", "FAILED")
    call(experiment, "trial", 4)
    call(experiment, "logs", 4, "stderr", attempt=2, task=1)
    call(experiment, "events", 3)
    call(experiment, "records", 2, page=10)
    call(experiment, "importance", "ped-anova", top=0.2, within=0.5, space=True, metric="auc")
    call(experiment, "export", "json")
    call(experiment, "update", SPEC)
    call(experiment, "label", {"team": None}, private=True)
    call(experiment, "clone", "twin")
    call(experiment, "clean", all=True, dry_run=True)
    call(experiment, "enqueue", {"x": 1})
    call(experiment, "stop_trials", [1])
    call(experiment, "retry", [1])
    call(experiment, "ask", 2, worker="me", lease_seconds=9, request_id="r")
    call(experiment, "tell", 4, 1, 0.5)
    call(experiment, "tell", 4, 1, auc=0.5)
    call(experiment, "tell", 4, 1)
    call(experiment, "report", 4, 1, 3, 0.5)
    call(experiment, "report", 4, 1, 3, auc=0.5)
    call(experiment, "renew", 4, 1, 9)
    return used


def public(kind):
    return {(kind, name) for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


@unittest.skipUnless(DOCUMENT.exists() or os.environ.get("RETRIAL_NO_SKIP"), "needs schemas/openapi.json beside it")
class Interface(ClientCase):
    def setUp(self):
        self.said = {}
        for path, methods in json.loads(DOCUMENT.read_text())["paths"].items():
            shape = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
            for method, told in methods.items():
                body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
                parts = {f"?{given['name']}" for given in told["parameters"] if given["in"] == "query"}
                parts |= set(body.get("properties", {}))
                self.said[told["operationId"]] = (method.upper(), shape, parts)

    def operation(self, request):
        fits = [
            name
            for name, (method, shape, _) in self.said.items()
            if method == request.method and shape.fullmatch(request.path)
        ]
        # `trials/stop` has the shape of a single trial as well, but another method.
        self.assertEqual(len(fits), 1, f"{request.method} {request.path} is {fits} of the document")
        return fits[0]

    def test_the_client_sends_what_the_document_describes_and_nothing_else(self):
        with Server(answer) as server:
            use(self.client(server))
            requests = server.requests
        sent, wanted = set(), set()
        for request in requests:
            name = self.operation(request)
            sent.add(name)
            sent |= {f"{name} ?{key}" for key in request.query} | {f"{name} {key}" for key in request.body or {}}
        for name, (_, _, parts) in self.said.items():
            wanted |= {name} | {f"{name} {part}" for part in parts}
        self.assertEqual(sorted(sent - wanted), [], "is sent, and no part of the interface")
        self.assertEqual(sorted(wanted - sent - set(NOT_SENT)), [], "is part of the interface, and never sent")
        self.assertEqual(sorted(set(NOT_SENT) & sent), [], "is sent after all")

    def test_every_method_is_used_for_that(self):
        with Server(answer) as server:
            used = use(self.client(server))
        unused = {name for _, name in (public(Client) | public(Experiment)) - used}
        self.assertEqual(unused, set(SILENT))


if __name__ == "__main__":
    unittest.main()
