"""Trials as a table of pandas."""

import unittest

import peers
from server import ClientCase, Server

if peers.available("pandas"):
    import pandas


@peers.needs("pandas", program=True)
class Frame(ClientCase):
    def test_every_trial_is_a_row_with_its_parameters_and_times(self):
        trials = peers.load(peers.nested())["trials"]
        half = {"trials": trials[:6], "next": "5"}, {"trials": trials[6:], "next": None}
        with Server([(200, page) for page in half]) as server:
            frame = self.client(server).experiment("e").trials_frame()
        self.assertEqual(len(frame), 12)
        self.assertEqual(list(frame["trial"]), list(range(12)))
        self.assertEqual(frame[frame["status"] == "SUCCEEDED"]["value"].idxmax(), 7)
        self.assertTrue(pandas.isna(frame["value"][4]))
        self.assertEqual(list(frame["param.lr"]), [trial["params"]["lr"] for trial in trials])
        for row, trial in frame.iterrows():
            nested = trials[row]["params"]["net"]
            self.assertEqual(trial["param.net"], nested["_name"] if isinstance(nested, dict) else nested)
        self.assertEqual(int(frame["ended"][3].timestamp() * 1000), trials[3]["ended_ms"])
        self.assertEqual(str(frame["ended"].dt.tz), "UTC")

    def test_no_trials_are_an_empty_table(self):
        with Server([(200, {"trials": [], "next": None})]) as server:
            self.assertEqual(len(self.client(server).experiment("e").trials_frame()), 0)


if __name__ == "__main__":
    unittest.main()
