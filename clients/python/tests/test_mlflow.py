"""MLflow's own package reads what was exported."""

import json
import logging
import tempfile
import unittest

import peers
from retrial.integrations import mlflow as exporter

if peers.available("mlflow"):
    from mlflow import MlflowClient


@peers.needs("mlflow", "sqlalchemy", "alembic", program=True)
class Mlflow(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.WARNING)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.uri = f"sqlite:///{self.dir.name}/mlflow.db"
        self.client = MlflowClient(self.uri)
        self.client.create_experiment("theirs", artifact_location=f"{self.dir.name}/artifacts")

    def test_an_experiment_is_a_run_and_each_trial_a_nested_one(self):
        out = peers.load(peers.nested())
        parent = exporter.export(out, tracking_uri=self.uri, experiment_name="theirs")
        run = self.client.get_run(parent)
        self.assertEqual((run.info.run_name, run.info.status), ("nested", "FINISHED"))
        self.assertEqual((run.info.start_time, run.info.end_time), (out["started_ms"], out["ended_ms"]))
        self.assertEqual(run.data.tags["retrial.experiment"], out["experiment"])
        self.assertEqual(run.data.metrics, {"final.accuracy": out["best"]["value"]})
        spec = self.client.download_artifacts(parent, "experiment.json", self.dir.name)
        with open(spec, encoding="utf-8") as file:
            self.assertEqual(json.load(file), out["spec"])
        where = run.info.experiment_id
        nested = self.client.search_runs([where], f"tags.mlflow.parentRunId = '{parent}'")
        runs = {int(run.data.tags["retrial.trial"]): run for run in nested}
        self.assertEqual(sorted(runs), list(range(12)))
        for trial in out["trials"]:
            run = runs[trial["trial"]]
            self.assertEqual(run.info.status, "FAILED" if trial["trial"] == 4 else "FINISHED")
            self.assertEqual(run.info.end_time, trial["ended_ms"])
            self.assertEqual(float(run.data.params["lr"]), trial["params"]["lr"])
            history = self.client.get_metric_history(run.info.run_id, "accuracy")
            self.assertEqual(
                [(metric.step, metric.value) for metric in history],
                [(report["step"], report["value"]) for report in trial["reports"]],
            )
        deep = next(trial for trial in out["trials"] if isinstance(trial["params"]["net"], dict))
        params = runs[deep["trial"]].data.params
        self.assertEqual(params["net"], deep["params"]["net"]["_name"])
        self.assertEqual(float(params["net.n"]), deep["params"]["net"]["n"])

    def test_several_objectives_are_metrics_by_their_names(self):
        out = peers.load(peers.front())
        parent = exporter.export(peers.front(), tracking_uri=self.uri, experiment_name="theirs")
        where = self.client.get_run(parent).info.experiment_id
        for run in self.client.search_runs([where], f"tags.mlflow.parentRunId = '{parent}'"):
            metrics = out["trials"][int(run.data.tags["retrial.trial"])]["metrics"]
            found = {name: run.data.metrics[f"final.{name}"] for name in metrics}
            self.assertEqual(found, metrics)
            self.assertEqual({name: run.data.metrics[name] for name in metrics}, metrics)


if __name__ == "__main__":
    unittest.main()
