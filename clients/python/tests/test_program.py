"""Trials in Python of the real program."""

import unittest
from pathlib import Path

import peers


@peers.needs(program=True)
class Program(unittest.TestCase):
    def test_what_a_trial_reports_is_what_the_program_knows(self):
        out = peers.load(peers.nested())
        self.assertEqual(out["counts"], {"SUCCEEDED": 7, "EARLY_STOPPED": 4, "FAILED": 1})
        trial = out["trials"][2]
        reports = [(report["step"], round(report["value"], 4)) for report in trial["reports"]]
        self.assertEqual(reports, [(epoch, epoch * 3 / 100) for epoch in range(1, 6)])
        self.assertAlmostEqual(trial["value"], 0.15, places=4)

    def test_its_checkpoint_is_where_the_program_keeps_it(self):
        out = peers.load(peers.nested())
        kept = Path(peers.nested()).parent / ".retrial" / "runs" / out["experiment"] / "2" / "1" / "checkpoint"
        self.assertEqual((kept / "epoch").read_text(), "5")

    def test_several_metrics_arrive_by_their_names(self):
        out = peers.load(peers.front())
        self.assertEqual(out["counts"], {"SUCCEEDED": 4})
        for trial in out["trials"]:
            x = trial["params"]["x"]
            self.assertEqual(trial["metrics"], {"gain": x, "price": x * x})


if __name__ == "__main__":
    unittest.main()
