"""Trials as rows."""

import unittest

from retrial.integrations.exported import curve
from retrial.table import flat, rows


class Table(unittest.TestCase):
    def test_nested_parameters_get_their_whole_names(self):
        params = {"lr": 0.1, "net": {"_name": "deep", "head": {"_name": "wide", "n": 3}, "act": None}, "other": "flat"}
        self.assertEqual(
            flat(params),
            {"lr": 0.1, "net": "deep", "net.head": "wide", "net.head.n": 3, "net.act": None, "other": "flat"},
        )

    def test_every_row_has_every_column(self):
        shared = {"reason": "", "suggested_ms": 1, "ended_ms": None, "status": "RUNNING", "value": None}
        trials = [
            {**shared, "trial": 0, "params": {"net": {"_name": "deep", "n": 3}}, "metrics": None, "attempts": [{}, {}]},
            {**shared, "trial": 1, "params": {"net": "flat"}, "metrics": {"auc": 0.5}, "attempts": []},
        ]
        first, second = rows(trials)
        columns = "trial status value metric.auc param.net param.net.n attempts suggested ended reason".split()
        self.assertEqual((list(first), list(second)), (columns, columns))
        self.assertEqual((first["param.net.n"], first["metric.auc"], first["attempts"]), (3, None, 2))
        self.assertEqual((second["param.net.n"], second["metric.auc"], second["attempts"]), (None, 0.5, 0))

    def test_a_later_attempt_replaces_what_it_has_done_anew(self):
        reports = [(1, 1, 0.1), (2, 1, 0.2), (3, 1, 0.3), (2, 2, 0.5), (4, 2, 0.6), (4, 2, 0.7)]
        trial = {"reports": [{"step": step, "attempt": attempt, "value": value} for step, attempt, value in reports]}
        self.assertEqual([(report["step"], report["value"]) for report in curve(trial)], [(1, 0.1), (2, 0.5), (4, 0.7)])


if __name__ == "__main__":
    unittest.main()
