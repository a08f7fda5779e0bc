"""Optuna's own package, both ways; what is written for Retrial is judged by the real program."""

import json
import tempfile
import unittest
import warnings
from pathlib import Path

import peers
from retrial.integrations import optuna as to_and_from
from retrial.integrations.space import Leaf
from retrial.table import flat

if peers.available("optuna"):
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)


@peers.needs("optuna", program=True)
class ToOptuna(unittest.TestCase):
    def test_every_ended_trial_is_one_of_the_study(self):
        out = peers.load(peers.nested())
        study = to_and_from.to_study(peers.nested())
        self.assertEqual(len(study.trials), 12)
        states = {"SUCCEEDED": TrialState.COMPLETE, "EARLY_STOPPED": TrialState.PRUNED, "FAILED": TrialState.FAIL}
        for ours, theirs in zip(out["trials"], study.trials):
            self.assertEqual(theirs.state, states[ours["status"]])
            self.assertEqual(theirs.user_attrs["retrial:trial"], ours["trial"])
            steps = {report["step"]: report["value"] for report in ours["reports"]}
            self.assertEqual(theirs.intermediate_values, steps)
            self.assertEqual(theirs.params["lr"], ours["params"]["lr"])
            self.assertEqual(round(theirs.datetime_complete.timestamp() * 1000), ours["ended_ms"])
            if theirs.state == TrialState.COMPLETE:
                self.assertEqual(theirs.value, ours["value"])
        self.assertEqual(study.best_trial.number, out["best"]["trial"])
        self.assertEqual(study.direction, optuna.study.StudyDirection.MAXIMIZE)
        self.assertEqual(study.metric_names, ["accuracy"])
        self.assertIn("this trial fails", study.trials[4].user_attrs["retrial:reason"])

    def test_distributions_are_those_of_the_space(self):
        study = to_and_from.to_study(peers.nested())
        found = {name: known for trial in study.trials for name, known in trial.distributions.items()}
        expected = {
            "lr": FloatDistribution(0.0001, 0.5, log=True),
            "drop": FloatDistribution(0, 1, step=0.05),
            "odd": CategoricalDistribution((0.5, 3.0, 6.0, 9.0, 11.0)),
            "hidden": IntDistribution(8, 256, log=True),
            "shift": FloatDistribution(-8, 8),
            "seed": IntDistribution(1, 8),
            "kind": CategoricalDistribution(("a", True, 1, None, 0.5)),
            "size": CategoricalDistribution((1, 10, 100)),
            "net": CategoricalDistribution(("deep", "wide", "flat")),
            "net.act": CategoricalDistribution(("relu", "tanh")),
            "net.deep.n": IntDistribution(1, 8),
            "net.wide.n": FloatDistribution(0, 1),
        }
        self.assertEqual(found, expected)
        for trial in study.trials:
            nested = {name for name in trial.params if name.startswith("net.")}
            options = {"deep": {"net.deep.n", "net.act"}, "wide": {"net.wide.n"}, "flat": set()}
            self.assertEqual(nested, options[trial.params["net"]])

    def test_domains_without_a_twin_get_the_nearest_that_contains_them(self):
        for kind, numbers, seen, expected in [
            ("quniform", (0, 100, 5), [], lambda: IntDistribution(0, 100, step=5)),
            ("quniform", (-1, 1, 0.25), [], lambda: FloatDistribution(-1, 1, step=0.25)),
            ("quniform", (1, 10, 3), [], lambda: CategoricalDistribution((1, 3, 6, 9))),
            ("quniform", (0.05, 10_000, 0.1), [], lambda: FloatDistribution(0.05, 10_000)),
            ("qloguniform", (0.5, 8, 0.5), [], lambda: FloatDistribution(0.5, 8, log=True)),
            ("qloguniform", (1, 8, 1), [], lambda: IntDistribution(1, 8, log=True)),
            ("normal", (1, 0.5), [9.5], lambda: FloatDistribution(-3, 9.5)),
            ("qnormal", (1, 0.5, 2), [], lambda: IntDistribution(-4, 4, step=2)),
            ("qnormal", (0, 1, 0.1), [], lambda: FloatDistribution(-8, 8, step=0.1)),
            ("lognormal", (0, 0), [], lambda: FloatDistribution(1, 1, log=True)),
        ]:
            with self.subTest(kind=kind, numbers=numbers):
                self.assertEqual(to_and_from.distribution(Leaf("x", kind, numbers), seen), expected())

    def test_optuna_goes_on_from_it(self):
        with tempfile.TemporaryDirectory() as place:
            storage = f"sqlite:///{place}/study.db"
            to_and_from.to_study(peers.load(peers.nested()), storage=storage, study_name="mine")
            study = optuna.load_study(storage=storage, study_name="mine", sampler=optuna.samplers.TPESampler(seed=1))

            def objective(trial):
                trial.suggest_float("drop", 0, 1, step=0.05)
                trial.suggest_categorical("net", ("deep", "wide", "flat"))
                return trial.suggest_float("lr", 0.0001, 0.5, log=True)

            study.optimize(objective, n_trials=3)
            self.assertEqual([trial.number for trial in study.trials], list(range(15)))
            with self.assertRaises(optuna.exceptions.DuplicatedStudyError):
                to_and_from.to_study(peers.nested(), storage=storage, study_name="mine")

    def test_several_objectives_keep_their_directions_and_their_front(self):
        out = peers.load(peers.front())
        study = to_and_from.to_study(out)
        self.assertEqual([direction.name for direction in study.directions], ["MAXIMIZE", "MINIMIZE"])
        self.assertEqual(study.metric_names, ["gain", "price"])
        for ours, theirs in zip(out["trials"], study.trials):
            self.assertEqual(theirs.values, [ours["metrics"]["gain"], ours["metrics"]["price"]])
        self.assertEqual(
            {trial.number for trial in study.best_trials}, {trial["trial"] for trial in out["trials"] if trial["front"]}
        )


def conditional(trial):
    """An objective whose parameters come and go, with every kind of distribution that Optuna has."""
    value = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    value += trial.suggest_float("drop out", 0.0, 0.9, step=0.1)
    value += trial.suggest_float("offset", 0.05, 0.95, step=0.1) + trial.suggest_float("free", -1, 1)
    value += trial.suggest_int("batch", 16, 128, step=16) + trial.suggest_int("odd", 1, 9, step=2)
    value += trial.suggest_int("units", 1, 64, log=True) + trial.suggest_int("depth", 1, 5)
    value += trial.suggest_float("whole", 0, 10, step=1) + trial.suggest_int("constant", 3, 3)
    trial.suggest_categorical("mixed", [None, True, 1, "1", 0.5])
    model = trial.suggest_categorical("model", ["svm", "forest", "none"])
    if model == "svm":
        value += trial.suggest_float("svm_c", 0.1, 10)
        if trial.suggest_categorical("kernel", ["rbf", "linear"]) == "rbf":
            value += trial.suggest_float("model.gamma", 0.1, 1)
    elif model == "forest":
        value += trial.suggest_int("trees", 10, 100)
    if model != "none":
        value += trial.suggest_float("weight", 0, 1)
    return value


@peers.needs("optuna", program=True)
class FromOptuna(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.place = Path(self.dir.name)

    def study(self, objective, trials, **more):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3), study_name="theirs", **more)
        study.optimize(objective, n_trials=trials)
        return study

    def checked(self, study, **more):
        """Writes an experiment, which the program must take without a word of complaint, as it does of what is left out."""
        run = {"local": {"command": 'echo \'{"step": 1, "value": 1}\' >> $RETRIAL_REPORT'}}
        made = to_and_from.write_experiment(study, self.place / "new.json", run=run, **more)
        said = peers.retrial(self.place, "check", "new.json")
        self.assertEqual(said.stderr, "")
        return made

    def test_a_study_with_parameters_that_come_and_go_is_taken_whole(self):
        spec, known = self.checked(self.study(conditional, 60), budget={"trials": 3})
        self.assertEqual(len(known), 60)
        space = spec["space"]
        self.assertEqual(space["lr"], {"loguniform": [1e-5, 1e-1]})
        self.assertEqual(space["drop_out"], {"quniform": [0.0, 0.9, 0.1]})
        self.assertEqual(space["offset"], {"ordinal": [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]})
        self.assertEqual(space["batch"], {"quniform": [16, 128, 16]})
        self.assertEqual(space["odd"], {"ordinal": [1, 3, 5, 7, 9]})
        self.assertEqual(space["units"], {"qloguniform": [1, 64, 1]})
        self.assertEqual(space["depth"], {"randint": [1, 6]})
        self.assertEqual(space["constant"], {"choice": [3]})
        self.assertEqual(space["mixed"], {"choice": [None, True, 1, "1", 0.5]})
        svm, forest, none = space["model"]["choice"]
        self.assertEqual(none, "none")
        self.assertEqual(forest, {"_name": "forest", "trees": {"randint": [10, 101]}, "weight": {"uniform": [0, 1]}})
        self.assertEqual(set(svm), {"_name", "svm_c", "kernel", "weight"})
        rbf = {"_name": "rbf", "gamma": {"uniform": [0.1, 1.0]}}
        self.assertEqual(svm["kernel"], {"choice": [rbf, "linear"]})
        # The program has them all, and begins with them.
        peers.retrial(self.place, "run", "new.json")
        peers.retrial(self.place, "export", "theirs", "-o", "out.json")
        recorded = peers.load(self.place / "out.json")["spec"]["known"]
        points = [{**flat(item["params"]), "is": item["value"]} for item in recorded]
        by_value = sorted(({**item["params"], "is": item["value"]} for item in known), key=lambda point: point["is"])
        self.assertEqual(sorted(points, key=lambda point: point["is"]), by_value)

    def test_what_was_exported_comes_back_as_it_was(self):
        spec, known = self.checked(to_and_from.to_study(peers.nested()))
        self.assertEqual(len(known), 7)
        net = peers.NESTED["space"]["net"]
        self.assertEqual(spec["objective"], {"metric": "accuracy", "goal": "maximize"})
        for name in ("lr", "drop", "seed", "kind"):
            self.assertEqual(spec["space"][name], peers.NESTED["space"][name])
        self.assertEqual([option["_name"] for option in spec["space"]["net"]["choice"][:2]], ["deep", "wide"])
        self.assertEqual(spec["space"]["net"]["choice"][1], net[1])

    def test_it_may_be_in_a_storage(self):
        storage = f"sqlite:///{self.place}/study.db"
        self.study(lambda trial: trial.suggest_float("x", 0, 1), 3, storage=storage, direction="maximize")
        spec, known = self.checked(storage, study_name="theirs", name="ours")
        self.assertEqual((spec["name"], spec["objective"]), ("ours", {"metric": "value", "goal": "maximize"}))
        self.assertEqual(len(known), 3)
        self.assertEqual(json.loads((self.place / "new.known.json").read_text()), known)

    def test_bounds_that_changed_become_the_widest(self):
        def objective(trial):
            return trial.suggest_float("x", -trial.number - 1, 1) + trial.suggest_int(
                "n", 0, 4, step=1 + trial.number % 2
            )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = self.study(objective, 4)
        spec, _ = self.checked(study)
        self.assertEqual(spec["space"], {"x": {"uniform": [-4, 1]}, "n": {"randint": [0, 5]}})

    def test_only_complete_trials_are_known(self):
        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            if trial.number == 1:
                raise optuna.TrialPruned
            return float("inf") if trial.number == 2 else x

        _, known = self.checked(self.study(objective, 4))
        self.assertEqual(len(known), 2)

    def test_what_cannot_be_taken_is_refused_with_the_reason(self):
        def lottery(trial):
            value = trial.suggest_float("x", 0, 1)
            return value + (trial.suggest_float("y", 0, 1) if trial.number % 2 else 0)

        for study, reason in [
            (self.study(lottery, 4), "some trials have no `y`"),
            (optuna.create_study(), "no trial that is complete"),
            (optuna.create_study(directions=["minimize", "minimize"]), "several objectives"),
        ]:
            with self.subTest(reason), self.assertRaisesRegex(ValueError, reason):
                to_and_from.experiment_of(study)


if __name__ == "__main__":
    unittest.main()
