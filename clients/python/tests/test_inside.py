"""What a trial uses, in processes of their own where that matters."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings
from fractions import Fraction
from pathlib import Path
from unittest import mock

import retrial
from retrial import inside


class Reports(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.file = Path(self.dir.name, "report.jsonl")
        patch = mock.patch.dict(os.environ, {"RETRIAL_REPORT": str(self.file)})
        patch.start()
        self.addCleanup(patch.stop)

    def lines(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def test_every_form_becomes_a_line_that_the_engine_reads(self):
        retrial.report(0, 0.5)
        retrial.report(3, Fraction(1, 4), final=True)
        retrial.report(4, auc=0.9, loss=1)
        retrial.report(5, {"val.loss": 0.1}, auc=0.8)
        retrial.report(6, 0.7, loss=0.2)
        retrial.report(7, float("nan"))
        retrial.report(8, loss=float("-inf"))
        self.assertEqual(
            self.lines(),
            [
                {"step": 0, "value": 0.5},
                {"step": 3, "value": 0.25, "final": True},
                {"step": 4, "metrics": {"auc": 0.9, "loss": 1.0}},
                {"step": 5, "metrics": {"val.loss": 0.1, "auc": 0.8}},
                {"step": 6, "value": 0.7, "metrics": {"loss": 0.2}},
                {"step": 7, "value": None},
                {"step": 8, "metrics": {"loss": None}},
            ],
        )

    def test_what_is_no_report_is_refused_and_writes_nothing(self):
        for arguments, error in [
            ((-1, 0.5), ValueError),
            ((1.5, 0.5), TypeError),
            (("1", 0.5), TypeError),
            ((1,), ValueError),
            ((1, {}), ValueError),
            ((1, [0.5]), TypeError),
            ((1, "much"), ValueError),
        ]:
            with self.subTest(arguments), self.assertRaises(error):
                retrial.report(*arguments)
        self.assertFalse(self.file.exists())

    def test_a_line_is_one_write(self):
        writes = []
        write = os.write
        with mock.patch.object(os, "write", lambda fd, data: writes.append(bytes(data)) or write(fd, data)):
            retrial.report(1, 0.5)
            retrial.report(2, 0.6)
        self.assertEqual(writes, [b'{"step": 1, "value": 0.5}\n', b'{"step": 2, "value": 0.6}\n'])

    def test_a_device_that_takes_only_a_part_gets_the_rest(self):
        write = os.write
        with mock.patch.object(os, "write", lambda fd, data: write(fd, data[:3])):
            retrial.report(1, 0.5)
        self.assertEqual(self.lines(), [{"step": 1, "value": 0.5}])

    def test_lines_of_many_threads_are_whole(self):
        def work(thread):
            for step in range(200):
                retrial.report(step, thread)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = self.lines()
        self.assertEqual(len(lines), 1600)
        for thread in range(8):
            steps = [line["step"] for line in lines if line["value"] == thread]
            self.assertEqual(steps, list(range(200)))

    def test_reports_to_standard_output_come_in_order_with_what_is_printed(self):
        code = "import retrial\nprint('before')\nretrial.report(1, 0.5)\nprint('after')"
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RETRIAL_REPORT": "/dev/stdout", "PYTHONUNBUFFERED": ""},
            stdout=subprocess.PIPE,
            check=True,
        )
        self.assertEqual(run.stdout.decode().splitlines(), ["before", '{"step": 1, "value": 0.5}', "after"])


class Surroundings(unittest.TestCase):
    def with_environment(self, **variables):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RETRIAL_")}
        return mock.patch.dict(os.environ, {**clean, **variables}, clear=True)

    def test_outside_of_a_trial_there_is_nothing_and_it_is_said_once(self):
        inside._said = False
        with self.with_environment(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            retrial.report(1, 0.5)
            retrial.report(2, 0.5)
            self.assertEqual(retrial.params(), {})
            self.assertIsNone(retrial.trial())
            self.assertIsNone(retrial.checkpoint_dir())
            self.assertIsNone(retrial.resume_from())
            with self.assertRaises(ValueError):
                retrial.report(-1, 0.5)
        self.assertEqual([str(warning.message) for warning in said], [str(said[0].message)])
        self.assertIn("no trial", str(said[0].message))
        self.assertEqual(said[0].filename, __file__)

    def test_a_trial_finds_what_its_environment_names(self):
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            params = {"lr": 0.1, "net": {"_name": "deep", "layers": 3}, "kind": None}
            (place / "params.json").write_text(json.dumps(params))
            with self.with_environment(
                RETRIAL_EXPERIMENT="eivsfkzf",
                RETRIAL_TRIAL="12",
                RETRIAL_ATTEMPT="2",
                RETRIAL_TASK="1",
                RETRIAL_PARAMS=str(place / "params.json"),
                RETRIAL_CHECKPOINT_DIR=str(place / "new" / "checkpoint"),
                RETRIAL_RESUME_FROM=str(place),
            ):
                self.assertEqual(retrial.params(), params)
                self.assertEqual(retrial.trial(), ("eivsfkzf", 12, 2, 1))
                self.assertEqual(retrial.checkpoint_dir(), place / "new" / "checkpoint")
                self.assertTrue(retrial.checkpoint_dir().is_dir())
                self.assertEqual(retrial.resume_from(), place)

    def test_importing_it_needs_nothing_but_the_standard_library(self):
        code = (
            "import sys, retrial, retrial.integrations.mlflow, retrial.integrations.optuna, retrial.integrations.tensorboard\n"
            "print([name for name in sys.modules if name.split('.')[0] in ('optuna', 'mlflow', 'tensorboard', 'pandas', 'numpy')])"
        )
        run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
        self.assertEqual(run.stdout.decode().strip(), "[]")


if __name__ == "__main__":
    unittest.main()
