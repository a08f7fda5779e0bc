"""Alibaba Cloud's own SDK for PAI AutoML as a client of the daemon: every operation, plain and async.

Run by pai.rs, which starts the daemon: python pai_operations.py HOST:PORT open|users
With `users` the daemon has those of the file in pai.rs; with `open` it has none.
"""

import asyncio
import json
import pathlib
import sys
import tempfile
import time
import unittest
from unittest import mock

from alibabacloud_paiautoml20220828 import models
from alibabacloud_paiautoml20220828.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_credentials.client import Client as Credential
from alibabacloud_credentials.models import Config as CredentialConfig
from darabonba.core import DaraCore

# What tests with other official SDKs use as well.
sys.path.append(str(pathlib.Path(__file__).parents[1] / "simulators" / "official_sdk"))
from twins import Async, Plain

ADDRESS, MODE = sys.argv.pop(1), sys.argv.pop(1)
USERS = MODE == "users"
PATIENCE_S = 60
ENDED = {"FINISHED", "FAILED", "EARLY_STOPPED", "USER_CANCELED", "SYS_CANCELED", "NO_MORE_TRIAL"}


def key(name="bob", secret=None, token=None):
    return Client(Config(
        access_key_id=f"LTAI-{name}", access_key_secret=secret or f"the-secret-of-{name}", security_token=token,
        protocol="http", endpoint=ADDRESS))


def bearer(token):
    credential = Credential(CredentialConfig(type="bearer", bearer_token=token))
    return Client(Config(credential=credential, protocol="http", endpoint=ADDRESS))


def configuration(commands, space, trials, tuner="GridSearch", concurrency=2, **more):
    return models.HpoExperimentConfig(
        platform_config=models.HpoExperimentConfigPlatformConfig(name="Local", cmd=commands),
        metric_config=models.HpoExperimentConfigMetricConfig(
            metric_type="stdout", metric_source=[f"cmd{len(commands)}"], final_mode="best",
            metric_dict={"score=([-0-9.]+)": 2, "loss=([-0-9.]+)": -1}),
        search_space=space,
        yml_config=models.HpoExperimentConfigYmlConfig(
            trial_concurrency=concurrency, max_trial_number=trials,
            tuner=models.HpoExperimentConfigYmlConfigTuner(name=tuner, class_args={"optimize_mode": "maximize"})),
        **more)


X = {"${x}": {"_type": "choice", "_value": [1, 2, 3, 4]}}
# The weighted sum is 2 * (-(x - 3)^2) - x: the best one is 3 with -3.
SCORE = "echo score=$((-(${x}-3)*(${x}-3))) loss=${x}"


def until(what, look):
    began = time.monotonic()
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() - began > PATIENCE_S:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)


class Operations:
    """Each operation; `self.sdk` calls it plainly or through its async twin."""

    def setUp(self):
        self.sdk = self.kind(key())
        self.dir = tempfile.TemporaryDirectory()
        self.gate = pathlib.Path(self.dir.name) / "gate"
        self.addCleanup(self.dir.cleanup)

    def create(self, config, name="a", **more):
        request = models.CreateHpoExperimentRequest(name=name, hpo_experiment_configuration=config, **more)
        body = self.sdk.create_hpo_experiment(request).body
        self.assertTrue(body.experiment_id and body.request_id)
        return body.experiment_id

    def get(self, experiment):
        return self.sdk.get_hpo_experiment(experiment).body

    def ended(self, experiment):
        return until(f"the end of {experiment}", lambda: (
            lambda body: body if body.status in ENDED else None)(self.get(experiment)))

    def trials(self, experiment, **query):
        body = self.sdk.list_hpo_trials(experiment, models.ListHpoTrialsRequest(**query)).body
        self.assertTrue(body.request_id)
        return body.trials, body.total_count

    def until_trial(self, experiment, number, status):
        return until(f"trial {number} of {experiment} that is {status}", lambda: next(
            (trial for trial in self.trials(experiment, page_size=100)[0]
             if trial.trial_id == str(number) and trial.status == status), None))

    def experiments(self, **query):
        body = self.sdk.list_hpo_experiments(models.ListHpoExperimentsRequest(**query)).body
        self.assertTrue(body.request_id)
        return body.experiments, body.total_count

    def waiting(self, trials=2, **more):
        """An experiment whose trials wait for the gate."""
        wait = f"while [ ! -e {self.gate} ]; do sleep 0.02; done"
        return configuration([f"{wait}; {SCORE}"], X, trials, concurrency=1, **more)

    def refused(self, status, code, call, *arguments):
        with self.assertRaises(ClientException) as caught:
            call(*arguments)
        error = caught.exception
        self.assertEqual((error.data["statusCode"], error.code), (status, code), error)
        self.assertTrue(error.data["RequestId"] and error.data["Message"], error)
        return error.data

    def has_all(self, model, without=()):
        for name, value in vars(model).items():
            if name not in {"code", "message", "detail", *without}:
                self.assertIsNotNone(value, name)

    def test_a_search_finds_its_best_trial(self):
        config = configuration(
            ["echo hello ${exp_id} ${trial_id}; echo to-stderr >&2", SCORE], X, 4,
            output_config=models.HpoExperimentConfigOutputConfig(model_path="model_${exp_id}_${trial_id}"),
            oss_config=models.HpoExperimentConfigOssConfig(
                access_key_id="planted-id", access_key_secret="planted-secret", endpoint="http://127.0.0.1:9"))
        experiment = self.create(config, name="whole", description="d", workspace_id="ws", accessibility="PUBLIC")
        body = self.ended(experiment)
        self.assertEqual(body.status, "FINISHED")
        self.has_all(body)
        self.assertEqual(
            (body.experiment_id, body.name, body.description, body.workspace_id, body.accessibility, body.deleted),
            (experiment, "whole", "d", "ws", "PUBLIC", False))
        self.assertEqual((body.job_type, body.trial_count, body.trial_status), ("1", 4, {"SUCCEEDED": "4"}))
        shown = config.to_map()
        shown["oss_config"].update(accessKeyID="****", accessKeySecret="****")
        self.assertEqual(body.hpo_experiment_configuration, shown)
        self.assertEqual(json.loads(body.search_space), X)
        self.assertIn("accessKeySecret=****\n", body.config_ini)
        self.assertIn("maxTrialNumber: 4\n", body.config_yml)
        self.assertNotIn("planted", json.dumps(body.to_map()))
        self.assertRegex(body.gmt_create_time, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

        trials, total = self.trials(experiment, sort_by="FINAL_METRIC", order="DESC")
        self.assertEqual(total, 4)
        for trial in trials:
            self.has_all(trial)
            self.has_all(self.sdk.get_hpo_trial(experiment, trial.trial_id).body)
        self.assertEqual([trial.final_metric for trial in trials], ["-3.0", "-4.0", "-6.0", "-9.0"])
        best = trials[0]
        self.assertEqual(json.loads(best.hyperparam), {"${x}": 3})
        point = {"default": -3.0, "score=([-0-9.]+)": 0.0, "loss=([-0-9.]+)": 3.0}
        self.assertEqual(json.loads(best.metric), [{**point, "type": "PERIODICAL"}, {**point, "type": "FINAL"}])
        self.assertEqual(best.model, f"model_{experiment}_{best.trial_id}")
        self.assertEqual(best.parameter_id, int(best.trial_id))
        meta = json.loads(best.job_meta)
        self.assertEqual((meta["nni_trial_id"], meta["nni_exp_id"]), (best.trial_id, experiment))

        ids = [trial.trial_id for trial in self.trials(experiment)[0]]
        self.assertEqual(ids, ["0", "1", "2", "3"], "ascending unless it is said otherwise")
        pages = [self.trials(experiment, page_number=n, page_size=3, sort_by="create_time", order="desc") for n in (1, 2, 3)]
        self.assertEqual([([t.trial_id for t in page], total) for page, total in pages],
                         [(["3", "2", "1"], 4), (["0"], 4), ([], 4)])
        ascending = self.trials(experiment, sort_by="final_metric", order="ASC")[0]
        self.assertEqual([trial.final_metric for trial in ascending], ["-9.0", "-6.0", "-4.0", "-3.0"])

        commands = self.sdk.list_hpo_trial_commands(experiment, "2").body.commands
        hello = f"hello {experiment} 2"
        self.assertEqual([(c.id, c.output) for c in commands],
                         [(1, f"{hello}\nto-stderr\n"), (2, "score=0 loss=3\n")])
        self.assertEqual(commands[1].command, SCORE.replace("${x}", "3"))
        names = self.sdk.list_hpo_trial_log_names(experiment, "2").body.log_names
        self.assertEqual([name.rsplit("/", 1)[1] for name in names], ["trial.log", "stdout", "stderr"])

        def log(name, **page):
            body = self.sdk.list_hpo_trial_logs(
                experiment, "2", models.ListHpoTrialLogsRequest(log_name=name, **page)).body
            return body.logs, body.total_count

        self.assertEqual(log("stdout"), ([hello, "score=0 loss=3"], 2))
        self.assertEqual(log(names[1], page_number=2, page_size=1), (["score=0 loss=3"], 2))
        self.assertEqual(log("stdout", page_number=3, page_size=1), ([], 2))
        self.assertEqual(log("stderr"), (["to-stderr"], 1))
        lines, count = log("trial.log")
        self.assertEqual(len(lines), count)
        self.assertIn("SUCCEEDED", lines[-1])

        def recorded(name, **page):
            body = self.sdk.list_hpo_experiment_logs(
                experiment, models.ListHpoExperimentLogsRequest(log_name=name, **page)).body
            return body.logs, body.total_count

        lines, count = recorded("nnimanager.log")
        self.assertEqual(len(lines), count)
        self.assertIn("FINISHED", lines[-1])
        self.assertEqual(recorded("nnimanager.log", page_number=2, page_size=5), (lines[5:10], count))
        searched, fewer = recorded("dispatcher.log")
        self.assertTrue(0 < fewer < count and set(searched) < set(lines))
        self.assertNotIn("planted", json.dumps([lines, searched]))

    def test_experiments_are_found_by_every_filter(self):
        unique = f"filter{time.monotonic_ns()}"
        ids = [self.create(self.waiting(), name=f"Some {unique} {n}", workspace_id=f"{unique}-{n % 2}",
                           accessibility=["PRIVATE", "PUBLIC"][n % 2]) for n in range(3)]
        ours = {"name": unique.upper()}
        self.sdk.stop_hpo_experiment(ids[0])
        self.ended(ids[0])

        def found(**query):
            return [experiment.experiment_id for experiment in self.experiments(**{**ours, **query})[0]]

        newest = sorted(ids, reverse=True, key=lambda id: (self.get(id).gmt_create_time, ids.index(id)))
        self.assertEqual(set(found()), set(ids))
        self.assertEqual(found(workspace_id=f"{unique}-1"), [ids[1]])
        self.assertEqual(found(accessibility="PUBLIC"), [ids[1]])
        self.assertEqual(found(status="USER_CANCELED"), [ids[0]])
        self.assertEqual(found(status=""), found())
        creator = self.get(ids[0]).creator
        self.assertEqual(set(found(creator=creator)), set(ids))
        self.assertEqual(found(creator="nobody"), [])
        self.assertEqual(found(name="no such name"), [])
        self.assertEqual(set(found(min_create_time="2023-03-31 10:29:30", max_create_time="2999-01-01")), set(ids))
        self.assertEqual(found(min_create_time="2999-01-01"), [])
        self.assertEqual(found(max_create_time="2023-03-31 10:29:30"), [])
        today = newest and self.get(newest[0]).gmt_create_time[:10]
        self.assertIn(newest[0], found(max_create_time=today))
        self.assertEqual(found(order="ASC", sort_by="create_time"), found()[::-1])
        self.assertEqual(found(sort_by="STATUS", order="DESC")[0], ids[0], "USER_CANCELED is last by its letters")
        self.assertEqual(found(sort_by="workspace_id", order="DESC")[0], ids[1])
        self.assertEqual(found(sort_by="accessibility", order="desc")[0], ids[1])
        times = [experiment.gmt_modified_time for experiment in self.experiments(**ours, sort_by="update_time")[0]]
        self.assertEqual(times, sorted(times, reverse=True))
        one, total = self.experiments(**ours, page_number=2, page_size=1)
        self.assertEqual(([e.experiment_id for e in one], total), ([found()[1]], 3))
        without = {"config_ini", "config_yml", "search_space"}
        for experiment in self.experiments(**ours)[0]:
            self.has_all(experiment, without)
            self.assertIsNone(experiment.config_ini)
        for experiment in self.experiments(**ours, include_config_data="True")[0]:
            self.has_all(experiment)
        for wrong in ({"sort_by": "name"}, {"order": "up"}, {"page_size": 0}, {"page_number": -1}, {"status": "GONE"},
                      {"min_create_time": "yesterday"}, {"include_config_data": "perhaps"}):
            request = models.ListHpoExperimentsRequest(**wrong)
            self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.list_hpo_experiments, request)
        for id in ids[1:]:
            self.sdk.stop_hpo_experiment(id)

    def test_a_running_experiment_is_updated(self):
        experiment = self.create(self.waiting(), name="before", description="d", workspace_id="w1")
        self.until_trial(experiment, 0, "RUNNING")
        more = models.HpoExperimentConfig(yml_config=self.waiting(trials=3).yml_config)
        body = self.sdk.update_hpo_experiment(experiment, models.UpdateHpoExperimentRequest(
            name="after", accessibility="PUBLIC", workspace_id="w2", hpo_experiment_configuration=more)).body
        self.assertTrue(body.request_id)
        shown = self.get(experiment)
        self.assertEqual((shown.name, shown.description, shown.accessibility, shown.workspace_id),
                         ("after", "d", "PUBLIC", "w2"))
        self.assertEqual(shown.hpo_experiment_configuration, self.waiting(trials=3).to_map())
        other = models.HpoExperimentConfig(search_space={"${y}": {"_type": "uniform", "_value": [0, 1]}})
        told = self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.update_hpo_experiment, experiment,
                            models.UpdateHpoExperimentRequest(hpo_experiment_configuration=other))
        self.assertIn("space", json.dumps(told["Detail"]))
        self.sdk.update_hpo_experiment(experiment, models.UpdateHpoExperimentRequest())
        self.assertEqual(self.get(experiment).name, "after")
        self.gate.touch()
        self.assertEqual((self.ended(experiment).status, self.get(experiment).trial_count), ("FINISHED", 3))

    def test_trials_are_stopped_and_restarted(self):
        here = pathlib.Path(self.dir.name) / "here"
        # The first point fails until there is a file; all others wait for the gate.
        first = f"if [ ${{x}} = 1 ]; then [ -e {here} ] || exit 3; else while [ ! -e {self.gate} ]; do sleep 0.02; done; fi"
        experiment = self.create(configuration([f"{first}; {SCORE}"], X, 4), name="restart")
        self.until_trial(experiment, 0, "FAILED")
        self.until_trial(experiment, 1, "RUNNING")
        self.until_trial(experiment, 2, "RUNNING")
        failed = self.sdk.get_hpo_trial(experiment, "0").body
        self.assertIsNone(failed.final_metric)
        self.has_all(failed, {"final_metric"})

        def stop(ids=None):
            return self.sdk.stop_hpo_trials(experiment, models.StopHpoTrialsRequest(trial_ids=ids)).body.results

        def restart(**more):
            return self.sdk.restart_hpo_trials(experiment, models.RestartHpoTrialsRequest(**more)).body.results

        self.assertEqual(stop(), {})
        results = stop(["1", "0", "99", "x"])
        self.assertEqual(results["1"], "successfully stopped trial,")
        for id in ("0", "99", "x"):
            self.assertTrue(results[id].startswith("failed to stop trial,"), results)
        self.until_trial(experiment, 1, "USER_CANCELED")
        self.assertEqual(self.get(experiment).status, "RUNNING")

        self.assertEqual(restart(), {})
        here.touch()
        results = restart(trial_ids=["0", "2"], trial_hyper_parameters='{"${x}": "4"}')
        self.assertTrue(results["0"].startswith("successfully restarted trial,"), results)
        self.assertTrue(results["2"].startswith("failed to restart trial,"), "it runs")
        self.assertEqual(set(results), {"0", "2"}, "where trials are named, points are not looked at")
        self.gate.touch()
        self.ended(experiment)
        trials, _ = self.trials(experiment, page_size=100)
        again = [trial for trial in trials if json.loads(trial.hyperparam) == {"${x}": 1}]
        self.assertEqual([trial.status for trial in again], ["FAILED", "SUCCEEDED"])
        self.assertTrue(restart(trial_ids=["0"])["0"].startswith("failed to restart trial,"), "it has succeeded")
        self.assertEqual(self.get(experiment).trial_status, {"FAILED": "1", "SUCCEEDED": "3", "USER_CANCELED": "1"})

    def test_a_point_is_tried_that_somebody_gives(self):
        experiment = self.create(self.waiting(trials=3), name="given")
        self.until_trial(experiment, 0, "RUNNING")

        def give(text):
            request = models.RestartHpoTrialsRequest(trial_hyper_parameters=text)
            return self.sdk.restart_hpo_trials(experiment, request).body.results

        results = give('{"${x}": "4"}')
        self.assertEqual([text[:29] for text in results.values()], ["successfully restarted trial,"])
        for wrong in ('{"${x}": "9"}', '{"${y}": 1}', "[]", "4", "{"):
            self.refused(400, "INVALID_INPUT_PARAMS", give, wrong)
        self.gate.touch()
        self.ended(experiment)
        tried = [json.loads(trial.hyperparam)["${x}"] for trial in self.trials(experiment)[0]]
        self.assertEqual(tried[1], 4)

    def test_an_experiment_is_stopped_and_deleted(self):
        experiment = self.create(self.waiting(), name="stop")
        self.until_trial(experiment, 0, "RUNNING")
        self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.delete_hpo_experiment, experiment)
        body = self.sdk.stop_hpo_experiment(experiment).body
        self.assertEqual(body.exp_id, experiment)
        self.assertIn(body.status, ("TERMINATING", "USER_CANCELED"))
        self.assertEqual(self.ended(experiment).status, "USER_CANCELED")
        self.assertEqual(self.sdk.stop_hpo_experiment(experiment).body.status, "USER_CANCELED")
        self.assertEqual(self.trials(experiment)[0][0].status, "SYS_CANCELED")
        self.assertTrue(self.sdk.delete_hpo_experiment(experiment).body.request_id)
        for call in (self.sdk.get_hpo_experiment, self.sdk.delete_hpo_experiment, self.sdk.stop_hpo_experiment):
            self.refused(404, "INVALID_USER_OR_EXP", call, experiment)
        self.refused(404, "INVALID_USER_OR_EXP", self.sdk.get_hpo_trial, experiment, "0")
        listed = [e.experiment_id for e in self.experiments(page_size=1000)[0]]
        self.assertNotIn(experiment, listed)

    def test_what_is_wrong_is_told_all_at_once(self):
        space = {"${x}": {"_type": "normal", "_value": [0, 1]}}
        gp = configuration([SCORE], space, 4, tuner="GP")
        gp.metric_config.final_mode = gp.metric_config.metric_source = None
        gp.platform_config.name = "paiflow"
        request = models.CreateHpoExperimentRequest(name="wrong", hpo_experiment_configuration=gp)
        told = self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.create_hpo_experiment, request)
        for part in ("metric_source", "final_mode", "paiflow", "normal"):
            self.assertIn(part, told["Message"])
            self.assertIn(part, json.dumps(told["Detail"]))
        pbt = configuration([SCORE], X, 4, tuner="PBT")
        pbt.yml_config.assessor = models.HpoExperimentConfigYmlConfigAssessor(
            name="PAIAssessor", class_args=models.HpoExperimentConfigYmlConfigAssessorClassArgs(earlystop=True))
        request = models.CreateHpoExperimentRequest(name="wrong", hpo_experiment_configuration=pbt)
        told = self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.create_hpo_experiment, request)
        self.assertIn("HpoExperimentConfiguration.yml_config.assessor", told["Detail"])
        for request in (models.CreateHpoExperimentRequest(),
                        models.CreateHpoExperimentRequest(hpo_experiment_configuration=models.HpoExperimentConfig()),
                        models.CreateHpoExperimentRequest(accessibility="SECRET", hpo_experiment_configuration=self.waiting())):
            self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.create_hpo_experiment, request)
        for unknown in ("sORVEck", "aaaaaaaa", "a b/c~x"):
            self.refused(404, "INVALID_USER_OR_EXP", self.sdk.get_hpo_experiment, unknown)
        self.refused(404, "INVALID_USER_OR_EXP", self.sdk.list_hpo_trials, "aaaaaaaa", models.ListHpoTrialsRequest())

    def test_what_is_beside_experiments(self):
        for call in (self.sdk.create_service_identity_role, self.sdk.get_service_identity_role):
            self.assertEqual(call().body.role_name, "AliyunServiceRoleForPaiAutoml")
        request = models.CreateAutofeExperimentRequest(name="fe")
        told = self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.create_autofe_experiment, request)
        self.assertIn("AutoFE is not supported", told["Message"])
        self.refused(400, "INVALID_INPUT_PARAMS", self.sdk.get_autofe_experiment, "a")


class PlainOperations(Operations, unittest.TestCase):
    kind = Plain


class AsyncOperations(Operations, unittest.TestCase):
    kind = Async


@unittest.skipUnless(USERS, "there are no users")
class Users(unittest.TestCase):
    """Who may come in, and what they see."""

    def role(self, client):
        return client.get_service_identity_role().body.role_name

    def refused(self, status, call, *arguments):
        with self.assertRaises(ClientException) as caught:
            call(*arguments)
        self.assertEqual((caught.exception.data["statusCode"], caught.exception.code), (status, "INVALID_USER_OR_EXP"))
        return caught.exception.data["Message"]

    def test_keys_and_tokens_of_all_kinds_are_taken(self):
        for client in (key("ann"), key("bob"), key("bob", token="Token/with+special=chars=="), bearer("the-token-of-carl")):
            self.assertTrue(self.role(client))
            self.assertTrue(asyncio.run(client.get_service_identity_role_async()).body.role_name)

    def test_who_is_not_known_is_refused(self):
        for client in (key("bob", secret="the-secret-of-ann"), key("nobody"), bearer("no-such-token-here")):
            self.refused(401, client.get_service_identity_role)

    def test_a_request_is_taken_once(self):
        with mock.patch.object(Utils, "get_nonce", return_value="the-same-nonce"):
            self.role(key())
            self.assertIn("nonce", self.refused(401, key().get_service_identity_role))
            # It is another one's nonce as well.
            self.role(key("ann"))

    def test_a_request_of_another_time_is_refused(self):
        for date in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "yesterday"):
            with mock.patch.object(Utils, "get_timestamp", return_value=date):
                self.assertIn("x-acs-date", self.refused(401, key().get_service_identity_role))

    def test_a_body_that_was_changed_is_refused(self):
        send = DaraCore.do_action

        def change(request, *more):
            request.body = request.body.replace(b"mine", b"ours") if isinstance(request.body, bytes) else \
                request.body.replace("mine", "ours")
            return send(request, *more)

        request = models.CreateHpoExperimentRequest(name="mine")
        with mock.patch.object(DaraCore, "do_action", side_effect=change):
            self.assertIn("body", self.refused(401, key().create_hpo_experiment, request))

    def test_who_sees_what_and_may_do_what(self):
        config = configuration(["sleep 60; " + SCORE], X, 2, concurrency=1)
        made = {}
        for accessibility in (None, "PRIVATE", "PUBLIC"):
            request = models.CreateHpoExperimentRequest(
                name="whose", accessibility=accessibility, hpo_experiment_configuration=config)
            made[accessibility] = key("bob").create_hpo_experiment(request).body.experiment_id
            self.refused(403, key("eve").create_hpo_experiment, request)
        private, default, public = made["PRIVATE"], made[None], made["PUBLIC"]
        self.assertEqual(key("bob").get_hpo_experiment(default).body.accessibility, "PRIVATE")
        for name in ("ann", "bob"):
            self.assertEqual(key(name).get_hpo_experiment(private).body.creator, "bob")
        for client in (key("eve"), bearer("the-token-of-carl")):
            for hidden in (private, default):
                self.refused(404, client.get_hpo_experiment, hidden)
                self.refused(404, client.list_hpo_trials, hidden, models.ListHpoTrialsRequest())
            self.assertEqual(client.get_hpo_experiment(public).body.experiment_id, public)
            listed = client.list_hpo_experiments(models.ListHpoExperimentsRequest(name="whose", page_size=1000)).body
            self.assertEqual([e.experiment_id for e in listed.experiments], [public])
            self.assertEqual(listed.total_count, 1)
            self.refused(403, client.stop_hpo_experiment, public)
        carl = bearer("the-token-of-carl")
        self.refused(404, carl.stop_hpo_experiment, private)
        self.refused(403, carl.stop_hpo_trials, public, models.StopHpoTrialsRequest(trial_ids=["0"]))
        self.refused(403, carl.restart_hpo_trials, public, models.RestartHpoTrialsRequest(trial_ids=["0"]))
        self.refused(403, carl.update_hpo_experiment, public, models.UpdateHpoExperimentRequest(name="x"))
        for client, id in ((key("bob"), private), (key("ann"), default), (key("ann"), public)):
            self.assertEqual(client.stop_hpo_experiment(id).body.exp_id, id)


if __name__ == "__main__":
    unittest.main(verbosity=2)
