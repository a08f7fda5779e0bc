"""What tests with other tools need: the tools themselves, and experiments that the real program has run.

`RETRIAL_PROGRAM` names the program. Without it or a tool such a test is skipped; `RETRIAL_NO_SKIP=1` makes that a failure.
"""

import atexit
import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import retrial as package

# MLflow would tell its makers that it was used.
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")

PATIENCE_S = 120
PROGRAM = os.environ.get("RETRIAL_PROGRAM")

TRAINER = """
import sys, time, retrial
params, me = retrial.params(), retrial.trial()
checkpoint = retrial.checkpoint_dir() / "epoch"
if me.trial == 4:
    sys.exit("this trial fails")
for epoch in range(1, 6):
    accuracy = epoch * (1 + me.trial) / 100 + params["lr"] / 1e6
    retrial.report(epoch, accuracy, final=epoch == 5)
    checkpoint.write_text(str(epoch))
    print("epoch", epoch)
    if accuracy > 0.42:
        time.sleep(600)  # The rule ends it.
"""

NESTED = {
    "name": "nested",
    "space": {
        "lr": {"loguniform": [0.0001, 0.5]},
        "drop": {"quniform": [0, 1, 0.05]},
        "odd": {"quniform": [0.5, 11, 3]},
        "hidden": {"qloguniform": [8, 256, 8]},
        "shift": {"normal": [0, 1]},
        "seed": {"randint": [1, 9]},
        "kind": {"choice": ["a", True, 1, None, 0.5]},
        "size": {"ordinal": [1, 10, 100]},
        "net": [
            {"_name": "deep", "n": {"randint": [1, 9]}, "act": {"choice": ["relu", "tanh"]}},
            {"_name": "wide", "n": {"uniform": [0, 1]}},
            "flat",
        ],
    },
    "objective": {"metric": "accuracy", "goal": "maximize"},
    "sampler": "random",
    "seed": 5,
    "early_stop": {"threshold": {"upper": 0.42}},
    "retry": {"attempts": 1},
    "budget": {"trials": 12, "concurrency": 2},
}

FRONT = {
    "name": "front",
    "space": {"x": {"uniform": [0, 1]}},
    "objective": {"goals": {"gain": "maximize", "price": "minimize"}},
    "metric": {"report": True, "final": "final"},
    "sampler": "random",
    "seed": 5,
    "budget": {"trials": 4},
}

FRONT_TRAINER = """
import retrial
x = retrial.params()["x"]
retrial.report(1, gain=x, price=x * x)
"""


def available(module):
    """Whether a tool is installed."""
    return importlib.util.find_spec(module) is not None


def needs(*modules, program=False):
    """Skips a test where something is missing."""
    missing = [module for module in modules if not available(module)]
    if program and not PROGRAM:
        missing.append("RETRIAL_PROGRAM")
    if missing and os.environ.get("RETRIAL_NO_SKIP"):
        raise RuntimeError(f"missing: {', '.join(missing)}")
    return unittest.skipIf(missing, f"missing: {', '.join(missing)}")


def retrial(place, *arguments):
    """Runs the program in a folder, where its store is; it must end well. Gives what it wrote."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RETRIAL_")}
    # Trials find the package that is tested, wherever they run.
    env.update(RETRIAL_DURABILITY="process", PYTHONPATH=str(Path(package.__file__).resolve().parent.parent))
    done = subprocess.run([PROGRAM, *arguments], cwd=place, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        raise AssertionError(f"retrial {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


@functools.lru_cache(maxsize=None)
def _folder():
    made = tempfile.TemporaryDirectory(prefix="retrial-python-")
    atexit.register(made.cleanup)
    return made


def run(spec, trainer):
    """Runs an experiment whose trials are a Python program; gives the path of its export."""
    place = Path(_folder().name)
    program = place / f"{spec['name']}.py"
    program.write_text(trainer)
    command = [sys.executable, str(program)]
    file = place / f"{spec['name']}.json"
    file.write_text(json.dumps({**spec, "run": {"local": {"command": command}}}))
    retrial(place, "run", file.name)
    out = place / f"{spec['name']}-out.json"
    retrial(place, "export", spec["name"], "-o", out.name)
    return out


@functools.lru_cache(maxsize=None)
def nested():
    """The export of an experiment with every kind of domain and every kind of end."""
    return run(NESTED, TRAINER)


@functools.lru_cache(maxsize=None)
def front():
    """The export of an experiment with two objectives."""
    return run(FRONT, FRONT_TRAINER)


def load(path):
    """The content of an export."""
    return json.loads(Path(path).read_text())
