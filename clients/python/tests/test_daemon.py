"""The client with the real daemon, which is killed and started again where that matters."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import peers
from retrial import Client, Error, TakenOver, Unreachable

BRANIN = {
    "name": "client",
    "space": {"x": {"uniform": [0, 1]}, "net": [{"_name": "deep", "n": {"randint": [1, 9]}}, "flat"]},
    "objective": {"metric": "score", "goal": "maximize"},
    "sampler": "random",
    "seed": 7,
    "budget": {"trials": 8, "concurrency": 4},
}


class Daemon:
    """`retrial serve` on a store of its own."""

    def __init__(self, place):
        self.place = place
        self.listen = "127.0.0.1:0"

    def start(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("RETRIAL_")}
        env["RETRIAL_DURABILITY"] = "process"
        with open(Path(self.place, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [peers.PROGRAM, "serve", "--listen", self.listen, "--json"],
                cwd=self.place,
                env=env,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(Path(self.place, "log").read_text())
        self.url = json.loads(line)["listening"]
        # Started again, it is found where it was.
        self.listen = self.url[len("http://") :]

    def end(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(peers.PATIENCE_S)
        self.process.stdout.close()


@peers.needs(program=True)
class WithTheDaemon(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="retrial-python-")
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)
        self.daemon = Daemon(self.place)
        self.daemon.start()
        self.addCleanup(lambda: self.daemon.end())
        self.client = Client(self.daemon.url, patience=peers.PATIENCE_S)
        self.addCleanup(self.client.close)

    def until(self, what, look):
        end = time.monotonic() + peers.PATIENCE_S
        while True:
            found = look()
            if found:
                return found
            self.assertLess(time.monotonic(), end, f"waited in vain for {what}")
            time.sleep(0.02)

    def test_functions_are_trials_until_the_budget_is_used(self):
        experiment = self.client.create({**BRANIN, "early_stop": {"threshold": {"upper": 2}}}, {"team": "a"})

        def function(params, trial):
            trial.report(1, params["x"])
            if trial.number == 3:
                trial.report(2, 5.0)
            return params["x"]

        self.assertEqual(experiment.optimize(function, workers=3), 8)
        self.assertTrue(experiment.has_ended())
        trials = experiment.trials()
        self.assertEqual(
            [trial["status"] for trial in trials], ["SUCCEEDED"] * 3 + ["EARLY_STOPPED"] + ["SUCCEEDED"] * 4
        )
        for trial in trials:
            if trial["trial"] != 3:
                self.assertEqual(trial["value"], trial["params"]["x"])
            self.assertEqual(trial["reports"][0]["value"], trial["params"]["x"])
        best = max(trial["value"] for trial in trials if trial["status"] == "SUCCEEDED")
        self.assertEqual(experiment.best()["value"], best)
        self.assertEqual(self.client.experiment(experiment.id).trials("EARLY_STOPPED")[0]["trial"], 3)
        self.assertEqual(experiment.trial(3)["status"], "EARLY_STOPPED")

    def test_experiments_are_listed_page_by_page_and_filtered(self):
        made = [self.client.create({**BRANIN, "name": f"client-{n}"}, {"team": "ab"[n % 2]}).id for n in range(5)]
        newest_first = [found["experiment"] for found in self.client.experiments(page=2)]
        self.assertEqual(sorted(newest_first), sorted(made))
        self.assertEqual({found["experiment"] for found in self.client.experiments(label="team=b")}, {made[1], made[3]})
        self.assertEqual([found["name"] for found in self.client.experiments(name="client-4")], ["client-4"])
        self.assertEqual(len(list(self.client.experiments(q="CLIENT"))), 5)
        self.assertEqual(list(self.client.experiments(status="FAILED")), [])

    def test_the_same_key_creates_one_experiment(self):
        first = self.client.create(BRANIN, idempotency_key="k")
        self.assertEqual(self.client.create(BRANIN, idempotency_key="k").id, first.id)
        self.assertNotEqual(self.client.create(BRANIN).id, first.id)

    def test_what_can_be_done_to_an_experiment_is_done(self):
        experiment = self.client.create(json.dumps(BRANIN))
        experiment.enqueue({"x": 0.25, "net": "flat"})
        asked = experiment.ask(2, worker="me")
        self.assertEqual(asked[0].params, {"x": 0.25, "net": "flat"})
        experiment.pause()
        self.assertEqual(experiment.ask(), [])
        experiment.resume()
        experiment.update({**BRANIN, "budget": {"trials": 9, "concurrency": 4}})
        self.assertEqual(experiment.show()["budget_trials"], 9)
        asked[0].tell(1)
        asked[0].tell(1)
        with self.assertRaises(TakenOver):
            asked[0].tell(2)
        experiment.label({"team": "a"}, private=True)
        self.assertEqual(experiment.show()["labels"], {"team": "a", "accessibility": "PRIVATE"})
        experiment.label({"team": None}, private=False)
        self.assertEqual(experiment.show()["labels"], {"accessibility": "PUBLIC"})
        before = next(experiment.events()).seq
        self.assertEqual(experiment.show(at=before)["status"], "CREATED")
        asked[1].tell()
        self.assertEqual(experiment.trial(1)["status"], "FAILED")
        clone = experiment.clone("twin")
        self.assertEqual(clone.show()["name"], "twin")
        clone.stop()
        self.assertTrue(clone.has_ended())
        clone.remove()
        self.assertTrue(clone.show()["removed"])
        for refused in (clone.remove, clone.resume, self.client.experiment("twin").show):
            with self.assertRaises(Error) as caught:
                refused()
            self.assertEqual(caught.exception.status, 404)

    def test_what_has_become_of_an_experiment_is_taken_away_and_proved(self):
        experiment = self.client.create({**BRANIN, "budget": {"trials": 12}})
        experiment.optimize(lambda params, trial: params["x"])
        trials = experiment.trials()
        exported = json.loads(experiment.export("json"))
        self.assertEqual((exported["experiment"], exported["trials"]), (experiment.id, trials))
        table = list(csv.DictReader(io.StringIO(experiment.export())))
        self.assertEqual([float(row["value"]) for row in table], [trial["value"] for trial in trials])
        told = experiment.importance("ped-anova", top=0.5)
        self.assertEqual({parameter["name"] for parameter in told["parameters"]}, {"x", "net", "net.n"})
        with self.assertRaises(Error) as caught:
            experiment.importance("fanova", top=0.5)
        self.assertEqual(caught.exception.status, 422)
        with self.assertRaisesRegex(Error, "run at clients"):
            experiment.clean(dry_run=True)
        proof = experiment.resample()
        self.assertEqual((proof["ok"], proof["checked"]), (True, 12))
        verified = self.client.verify()
        self.assertTrue(verified["ok"])
        self.assertEqual([found["id"] for found in verified["experiments"]], [experiment.id])

    def test_records_are_read_page_by_page_and_further_from_any_of_them(self):
        experiment = self.client.create(BRANIN)
        self.client.create({**BRANIN, "name": "other"})
        experiment.optimize(lambda params, trial: params["x"], trials=2)
        all_records = list(experiment.records(page=3))
        self.assertGreater(len(all_records), 6)
        seqs = [record.seq for record in all_records]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual(list(experiment.records(seqs[3])), all_records[4:])
        kinds = {record.seq: record.data[2] for record in all_records}
        for event in experiment.events():
            self.assertIn(event.seq, kinds)
            self.assertEqual(event.experiment, experiment.id)
            if event.seq == seqs[-1]:
                break
        # Those of the program itself have no name.
        self.assertIn(self.client.me()["name"], {record.actor for record in all_records})

    def test_what_is_asked_of_the_daemon_is_answered(self):
        self.assertEqual(self.client.me()["role"], "admin")
        self.assertTrue(self.client.health()["ok"])
        self.assertIn("retrial_", self.client.metrics())
        self.assertIn("/v1/me", self.client.openapi()["paths"])
        self.assertEqual(self.client.limits()["waiting"], [])
        told = self.client.check({**BRANIN, "run": {"local": {"command": ["train", "${x}"]}}}, dry_run=True)
        self.assertEqual((told["ok"], told["name"]), (True, "client"))
        self.assertIn("train", str(told["preview"]))
        self.assertNotIn("preview", self.client.check(BRANIN))
        with self.assertRaises(Error) as caught:
            self.client.check({**BRANIN, "budget": {"trials": 0}})
        self.assertEqual([detail["path"] for detail in caught.exception.details], ["budget.trials"])
        self.assertEqual(list(self.client.experiments()), [])

    def test_many_are_acted_on_at_once_and_everything_is_followed(self):
        head = self.client.ready()["head"]
        experiments = [self.client.create({**BRANIN, "name": f"client-{n}"}).id for n in range(3)]
        stopped, missing = self.client.bulk("stop", [experiments[0], "nothere"])
        self.assertEqual((stopped, missing["ok"]), ({"experiment": experiments[0], "ok": True}, False))
        self.assertTrue(self.client.bulk("remove", experiments[:1])[0]["ok"])
        self.assertEqual(len(list(self.client.experiments())), 2)
        self.assertEqual(len(list(self.client.experiments(removed=True))), 3)
        created = []
        for event in self.client.events(head):
            if event.kind == "ExperimentCreated":
                created.append(event.experiment)
            if event.kind == "ExperimentRemoved":
                break
        self.assertEqual(created, experiments)

    def test_mistakes_of_an_experiment_are_told_one_by_one(self):
        with self.assertRaises(Error) as caught:
            self.client.create({**BRANIN, "space": {"x": {"uniform": [1, 0]}}, "budget": {"trials": 0}})
        self.assertEqual(caught.exception.status, 422)
        self.assertEqual(
            {detail["path"] for detail in caught.exception.details}, {"space.x.uniform[1]", "budget.trials"}
        )
        self.assertIn("space.x.uniform[1]: ", str(caught.exception))

    def test_a_trial_whose_worker_is_silent_is_another_workers(self):
        experiment = self.client.create(BRANIN)
        (silent,) = experiment.ask(1, worker="silent", lease_seconds=1)
        (other,) = self.until(
            "the end of the lease", lambda: [t for t in experiment.ask(1) if t.number == silent.number]
        )
        self.assertEqual(other.params, silent.params)
        self.assertGreater(other.attempt, silent.attempt)
        for late in (silent.renew, lambda: silent.report(1, 0.5), lambda: silent.tell(0.5)):
            with self.assertRaises(TakenOver):
                late()
        other.tell(0.75)
        self.assertEqual(experiment.trial(silent.number)["value"], 0.75)

    def test_a_killed_daemon_interrupts_no_function_and_no_events(self):
        experiment = self.client.create(BRANIN)
        seen, gone = [], threading.Event()

        def listen():
            for event in Client(self.daemon.url, patience=peers.PATIENCE_S).experiment(experiment.id).events():
                seen.append(event)
                if event.kind == "ExperimentEnded":
                    return gone.set()

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        ran = []

        def function(params, trial):
            ran.append(trial.number)
            if len(ran) in (3, 6):
                self.daemon.end()
                restart = threading.Timer(0.3, self.daemon.start)
                restart.start()
                trial.report(1, 0.5)
                restart.join()
            return params["x"]

        self.assertEqual(experiment.optimize(function), 8)
        self.assertEqual(ran, list(range(8)))
        self.assertEqual({trial["status"] for trial in experiment.trials()}, {"SUCCEEDED"})
        self.assertTrue(gone.wait(peers.PATIENCE_S), seen)
        listener.join()
        numbers = [event.seq for event in seen]
        self.assertEqual(numbers, sorted(set(numbers)))
        ended = [event for event in seen if event.kind == "TrialEnded"]
        self.assertEqual(len(ended), 8)

    def test_events_go_on_when_others_have_left_for_an_archive(self):
        old, experiment = self.client.create({**BRANIN, "name": "old"}), self.client.create(BRANIN)
        (trial,) = experiment.ask(1)
        old.stop()
        self.until("the end of the other one", old.has_ended)
        events = experiment.events()
        seen = [next(events)]
        while seen[-1].kind != "TrialLeased":
            seen.append(next(events))
        self.daemon.end(signal.SIGTERM)
        archive = ("audit", "archive", "old.archive", "--ended-before", "0s")
        subprocess.run([peers.PROGRAM, *archive], cwd=self.daemon.place, check=True, stdout=subprocess.DEVNULL)
        self.daemon.start()
        trial.report(1, 0.5)
        trial.tell(0.5)
        while seen[-1].kind != "TrialEnded":
            seen.append(next(events))
        self.assertEqual([event.data["position"] for event in seen], list(range(1, len(seen) + 1)))
        # Another process goes on with a new place, and is not led astray by an old one.
        with self.assertRaisesRegex(Error, "E0639"):
            next(experiment.events(after=seen[0].id))
        again = next(experiment.events(after=seen[-2].id))
        self.assertEqual(again, seen[-1])

    def test_what_a_local_trial_writes_can_be_read_as_it_comes(self):
        code = "import time\nprint('one', flush=True)\nwhile not __import__('os').path.exists('go'): time.sleep(.02)\nprint('two')"
        run = {"local": {"command": [sys.executable, "-c", code.replace("'go'", repr(str(self.place / "go")))]}}
        experiment = self.client.create({**BRANIN, "budget": {"trials": 1}, "run": run, "retry": {"attempts": 1}})
        self.until("the start", lambda: [t for t in experiment.trials() if t["attempts"] and t["attempts"][0]["job"]])
        text = ""
        for part in experiment.logs(0, follow=True):
            text += part
            if text == "one\n":
                (self.place / "go").write_text("")
        self.assertEqual(text, "one\ntwo\n")
        with self.assertRaisesRegex(Error, "E0412"):
            experiment.optimize(lambda params, trial: 1)

    @peers.needs("optuna")
    def test_an_experiment_of_the_daemon_is_exported_as_a_file_is(self):
        from retrial.integrations.optuna import to_study

        experiment = self.client.create(BRANIN)
        experiment.optimize(lambda params, trial: params["x"])
        study = to_study(experiment)
        self.assertEqual(study.best_trial.user_attrs["retrial:trial"], experiment.best()["trial"])
        self.assertEqual([trial.value for trial in study.trials], [trial["value"] for trial in experiment.trials()])

    def test_a_daemon_that_is_gone_is_said(self):
        experiment = Client(self.daemon.url, patience=0).create(BRANIN)
        self.daemon.end()
        with self.assertRaises(Unreachable):
            experiment.show()
        self.daemon.start()


if __name__ == "__main__":
    unittest.main()
