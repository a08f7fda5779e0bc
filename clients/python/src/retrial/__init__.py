"""Retrial from Python: reports of a running trial, and a client of the daemon.

Inside of a trial, with or without a daemon: `report`, `params`, `checkpoint_dir`, `resume_from`, `trial`.
From anywhere: `Client`. To and from other tools: the modules of `retrial.integrations`, which alone need other packages.
"""

from .asking import AskedTrial
from .client import Client
from .errors import Error, Stopped, TakenOver, Unreachable
from .events import Event
from .experiment import Experiment
from .inside import TrialIds, checkpoint_dir, params, report, resume_from, trial
from .records import Record

__version__ = "0.1.0"

__all__ = [
    "AskedTrial",
    "Client",
    "Error",
    "Event",
    "Experiment",
    "Record",
    "Stopped",
    "TakenOver",
    "TrialIds",
    "Unreachable",
    "checkpoint_dir",
    "params",
    "report",
    "resume_from",
    "trial",
]
