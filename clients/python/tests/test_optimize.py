"""Trials that this process runs, against a small daemon that has leases, takeovers and lost answers."""

import logging
import re
import threading
import time
import unittest

import retrial
from retrial import Stopped, TakenOver
from server import DROP, PATIENCE_S, ClientCase, Server


class Daemon:
    """An experiment of so many trials; a rule stops those that report more than `limit`. What it is asked is counted."""

    def __init__(self, budget, limit=None):
        self.budget, self.limit = budget, limit
        self.trials = []
        self.asked = {}
        self.renewed = {}
        self.lost_answers = set()
        self.renewal = threading.Event()
        self.status = "RUNNING"

    def __call__(self, request):
        action = request.path.rsplit("/", 1)[-1]
        reply = self.act(action, request)
        if action in self.lost_answers:
            self.lost_answers.discard(action)
            return DROP
        return reply

    def act(self, action, request):
        number = re.search(r"/trials/(\d+)", request.path)
        trial = self.trials[int(number[1])] if number else None
        if action == "ask":
            return self.ask(request.body)
        if request.method == "GET":
            if trial:
                return 200, trial
            ended = len(self.trials) == self.budget and all(trial["status"] != "RUNNING" for trial in self.trials)
            return 200, {"status": "FINISHED" if ended else self.status}
        if trial["attempt"] != request.body["attempt"]:
            return 409, {"code": "E0420", "detail": "another worker has it"}
        same = action == "tell" and trial["value"] == request.body.get("value")
        if trial["status"] != "RUNNING" and not same:
            return 409, {"code": "E0405", "detail": "it has ended"}
        return getattr(self, action)(trial, request.body)

    def ask(self, body):
        if body["request_id"] not in self.asked:
            if len(self.trials) == self.budget:
                return 409, {"code": "E0408", "detail": "the budget is used"}
            trial = {
                "trial": len(self.trials),
                "attempt": 1,
                "status": "RUNNING",
                "value": None,
                "metrics": None,
                "params": {"x": len(self.trials) / 10},
                "reports": [],
                "stopping": False,
                "worker": body["worker"],
            }
            self.trials.append(trial)
            self.asked[body["request_id"]] = trial
        trial = self.asked[body["request_id"]]
        return 200, {"trials": [{key: trial[key] for key in ("trial", "params", "attempt")}]}

    def tell(self, trial, body):
        trial["value"], trial["metrics"] = body.get("value"), body.get("values")
        trial["status"] = "EARLY_STOPPED" if trial["stopping"] else "FAILED" if body.get("failed") else "SUCCEEDED"
        return 200, {"ok": True}

    def report(self, trial, body):
        trial["reports"].append((body["step"], body.get("value")))
        trial["stopping"] |= self.limit is not None and body["value"] > self.limit
        return 200, {"decision": "stop" if trial["stopping"] else "continue"}

    def renew(self, trial, body):
        self.renewed[trial["trial"]] = self.renewed.get(trial["trial"], 0) + 1
        self.renewal.set()
        return 200, {"lease_until_ms": 0}

    def statuses(self):
        return [trial["status"] for trial in self.trials]


class Optimize(ClientCase):
    def setUp(self):
        logger = logging.getLogger("retrial")
        logger.addHandler(logging.NullHandler())
        propagates, logger.propagate = logger.propagate, False
        self.addCleanup(setattr, logger, "propagate", propagates)

    def optimize(self, daemon, function, *arguments, **more):
        with Server(daemon) as server:
            return self.client(server).experiment("e").optimize(function, *arguments, **more)

    def test_trials_run_until_the_experiment_has_ended(self):
        daemon = Daemon(5)
        self.assertEqual(self.optimize(daemon, lambda params, trial: params["x"] ** 2), 5)
        self.assertEqual([trial["value"] for trial in daemon.trials], [(n / 10) ** 2 for n in range(5)])

    def test_no_more_trials_run_than_wanted(self):
        daemon = Daemon(50)
        self.assertEqual(self.optimize(daemon, lambda params, trial: {"auc": 1, "cost": 2}, 3, 7), 7)
        self.assertEqual(len(daemon.trials), 7)
        self.assertEqual(daemon.trials[0]["metrics"], {"auc": 1, "cost": 2})

    def test_workers_run_trials_at_the_same_time(self):
        daemon = Daemon(6)
        together = threading.Barrier(3, timeout=PATIENCE_S)

        def function(params, trial):
            together.wait()
            return params["x"]

        self.assertEqual(self.optimize(daemon, function, workers=3), 6)
        self.assertEqual(len({trial["worker"] for trial in daemon.trials}), 3)

    def test_a_hopeless_trial_is_stopped_and_told_with_what_it_reported_last(self):
        daemon = Daemon(3, limit=10)
        steps = []

        def function(params, trial):
            for step in range(5):
                steps.append((trial.number, step))
                trial.report(step, step * 6 if trial.number == 1 else 1)
            return 2

        self.optimize(daemon, function)
        self.assertEqual(daemon.statuses(), ["SUCCEEDED", "EARLY_STOPPED", "SUCCEEDED"])
        self.assertEqual(daemon.trials[1]["reports"], [(0, 0), (1, 6), (2, 12)])
        self.assertEqual(daemon.trials[1]["value"], 12)
        self.assertEqual([step for number, step in steps if number == 1], [0, 1, 2])

    def test_an_exception_fails_the_trial_and_is_raised_unless_it_is_to_be_caught(self):
        def function(params, trial):
            if trial.number == 1:
                raise MemoryError("too big")
            return 1

        daemon = Daemon(4)
        with self.assertRaises(MemoryError):
            self.optimize(daemon, function)
        self.assertEqual(daemon.statuses(), ["SUCCEEDED", "FAILED"])
        for workers in (1, 2):
            daemon = Daemon(4)
            with self.assertLogs("retrial", "WARNING"):
                self.assertEqual(self.optimize(daemon, function, workers, catch=(MemoryError,)), 4)
            self.assertEqual(sorted(daemon.statuses()), ["FAILED"] + ["SUCCEEDED"] * 3)
        with self.assertRaises(MemoryError):
            self.optimize(Daemon(4), function, 2)

    def test_a_function_that_gives_nothing_useful_fails_its_trial(self):
        daemon = Daemon(3)
        with self.assertRaises(ValueError):
            self.optimize(daemon, lambda params, trial: None)
        self.assertEqual(daemon.statuses(), ["FAILED"])
        daemon = Daemon(2)
        self.optimize(daemon, lambda params, trial: float("nan"))
        self.assertEqual(daemon.statuses(), ["FAILED", "FAILED"])

    def test_the_lease_of_a_running_trial_is_renewed_and_not_that_of_an_ended_one(self):
        daemon = Daemon(2)

        def function(params, trial):
            if trial.number == 0:
                self.assertTrue(daemon.renewal.wait(PATIENCE_S))
            return 1

        self.optimize(daemon, function, lease_seconds=1)
        self.assertGreaterEqual(daemon.renewed[0], 1)
        self.assertLessEqual(daemon.renewed.get(1, 0), 1)

    def test_a_trial_that_was_taken_over_is_left_alone(self):
        daemon = Daemon(2)
        seen = []

        def function(params, trial):
            if trial.number == 0 and not seen:
                daemon.trials[0]["attempt"] = 2
                seen.append("taken")
                end = time.monotonic() + PATIENCE_S
                while trial.taken_over is None and time.monotonic() < end:
                    time.sleep(0.005)
                self.assertIsInstance(trial.taken_over, TakenOver)
                trial.report(1, 0.5)
            return 1

        with self.assertLogs("retrial", "WARNING") as logs:
            self.assertEqual(self.optimize(daemon, function, trials=2, lease_seconds=1), 2)
        self.assertEqual(daemon.statuses(), ["RUNNING", "SUCCEEDED"])
        self.assertIn("taken over", logs.output[0])

    def test_what_is_told_too_late_counts_no_more_and_the_next_trial_follows(self):
        daemon = Daemon(2)

        def function(params, trial):
            daemon.trials[0]["attempt"] = 2
            return 1

        with self.assertLogs("retrial", "WARNING"):
            self.assertEqual(self.optimize(daemon, function, trials=2), 2)
        self.assertEqual(daemon.statuses(), ["RUNNING", "SUCCEEDED"])

    def test_lost_answers_run_no_trial_twice_and_lose_none(self):
        daemon = Daemon(3)
        daemon.lost_answers = {"ask", "tell", "report"}
        ran = []

        def function(params, trial):
            ran.append(trial.number)
            trial.report(1, 0.5)
            return 1

        self.assertEqual(self.optimize(daemon, function), 3)
        self.assertEqual((ran, daemon.statuses()), ([0, 1, 2], ["SUCCEEDED"] * 3))

    def test_trouble_with_the_daemon_is_raised_and_no_failure_of_the_trial(self):
        daemon = Daemon(3)

        def answer(request):
            return (503, None) if request.path.endswith("/report") else daemon(request)

        with Server(answer) as server:
            experiment = self.client(server, patience=0).experiment("e")
            with self.assertRaisesRegex(retrial.Error, "503"):
                experiment.optimize(lambda params, trial: trial.report(1, 0.5), catch=(Exception,))
        self.assertEqual(daemon.statuses(), ["RUNNING"])

    def test_while_others_still_run_it_waits_for_what_they_may_lose(self):
        daemon = Daemon(2)
        daemon.ask({"request_id": "other", "worker": "other"})
        looks = []

        def answer(request):
            if request.method == "GET":
                looks.append(request.path)
                if len(looks) == 3:
                    daemon.tell(daemon.trials[0], {"value": 1})
            return daemon(request)

        self.assertEqual(self.optimize(answer, lambda params, trial: 1), 1)
        self.assertEqual(len(looks), 3)

    def test_an_interrupt_ends_it_and_tells_nothing(self):
        def function(params, trial):
            raise KeyboardInterrupt

        for workers in (1, 2):
            daemon = Daemon(9)
            with self.assertRaises(KeyboardInterrupt):
                self.optimize(daemon, function, workers)
            self.assertEqual(set(daemon.statuses()), {"RUNNING"})

    def test_stopped_is_no_error_of_the_daemon(self):
        self.assertFalse(issubclass(Stopped, retrial.Error))
        with self.assertRaises(ValueError):
            self.optimize(Daemon(1), lambda params, trial: 1, 0)


if __name__ == "__main__":
    unittest.main()
