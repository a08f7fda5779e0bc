"""Calls that Schemathesis makes up from the daemon's own description, as an admin: `generated.py alone|known ADDRESS TOKEN CALLS ID...`.

What is made up alone would hardly ever name an experiment that there is. So with `known` a part of it, chosen by the value itself so
that calls can be repeated, is replaced by experiments, by trials and by specifications that there are.
"""

import copy
import os
import sys
import zlib

import schemathesis
from schemathesis.cli import schemathesis as command

MODE, ADDRESS, TOKEN, CALLS, *EXPERIMENTS = sys.argv[1:]
# Whoever runs this shows what goes to standard error, and removes the home.
os.dup2(2, 1)
os.chdir(os.environ["HOME"])

SPEC = {
    "name": "made-up",
    "space": {"x": {"uniform": [0, 1]}, "kind": {"choice": ["a", "b"]}},
    "objective": {"metric": "score", "goal": "maximize"},
    "sampler": "random",
    "budget": {"trials": 50, "concurrency": 50},
}


def chosen(value, share):
    """A number that depends on the value, or nothing for all but a share (of ten) of the values."""
    number = zlib.crc32(repr(value).encode())
    return number // 10 if number % 10 < share else None


def name_of(context):
    return context.operation.definition.raw.get("operationId")


def map_path_parameters(context, path_parameters):
    found = dict(path_parameters or {})
    if "experiment" in found and (number := chosen(found["experiment"], 8)) is not None:
        # Some are neither ended nor removed, so that there are trials of which can be told.
        ending = name_of(context) in ("stopExperiment", "removeExperiment", "stopTrials")
        found["experiment"] = EXPERIMENTS[number % len(EXPERIMENTS) // (2 if ending else 1)]
    if "trial" in found and (number := chosen(found["trial"], 8)) is not None:
        found["trial"] = str(number % 3)
    return found


def map_body(context, body):
    number = chosen(body, 9)
    if number is None:
        return body
    body = copy.deepcopy(body) if isinstance(body, dict) else {}
    if "spec" in body:
        body["spec"] = SPEC | {"budget": {"trials": 1 + number % 100, "concurrency": 50}}
    if "labels" in body and number % 3:
        body["labels"] = {"team": str(number % 5)}
    if "params" in body:
        body["params"] = {"x": number % 100 / 100, "kind": "ab"[number % 2]}
    if "trials" in body:
        body["trials"] = [number % 3]
    if name_of(context) == "renew":
        body = {"attempt": 1, "lease_seconds": 1 + number % 1000}
    if name_of(context) in ("tell", "report"):
        value = {"value": 0.5} if number % 2 else {"values": {"score": 0.5}}
        body = {"attempt": 1, **value} | ({"step": number % 100} if name_of(context) == "report" else {})
    if "experiments" in body:
        body["experiments"] = [EXPERIMENTS[number % len(EXPERIMENTS) // 2], "none"]
    return body


# A schema does not say all that makes a request good, such as what an experiment file has to be.
# Nor is every trial there whose experiment is; and a removed experiment may still be looked at, by its id.
without = ["positive_data_acceptance", "ensure_resource_availability", "use_after_free"]
if MODE == "known":
    schemathesis.hook(map_path_parameters)
    schemathesis.hook(map_body)
    # What was made up to be wrong may have been put right.
    without.append("negative_data_rejection")

command(
    [
        "run",
        f"http://{ADDRESS}/v1/openapi.json",
        "--header",
        f"Authorization: Bearer {TOKEN}",
        # These do not end by themselves.
        "--exclude-operation-id=followAll",
        "--exclude-operation-id=followExperiment",
        f"--exclude-checks={','.join(without)}",
        "--warnings=off",
        "--suppress-health-check=all",
        "--continue-on-failure",
        "--request-timeout=30",
        f"--max-examples={CALLS}",
        "--seed=20261126",
        "--generation-database=none",
    ]
)
