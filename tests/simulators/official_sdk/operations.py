"""Alibaba Cloud's own SDK for PAI-DLC against the simulator: every operation that is simulated, plain and async.

Run by tests/official_sdk.rs, which starts the simulator: python operations.py HOST:PORT
The accounts, the faults' names and the lives of jobs are those of the script in that file.
"""

import json
import sys
import time
import unittest
import urllib.request

from alibabacloud_pai_dlc20201203 import models
from alibabacloud_pai_dlc20201203.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from alibabacloud_tea_openapi.models import Config
from darabonba.exceptions import UnretryableException

from twins import Async, Plain

ADDRESS = sys.argv.pop(1)
PATIENCE_S = 20


def client(key="plain-key", secret="plain-secret", token=None, **more):
    return Client(Config(
        access_key_id=key, access_key_secret=secret, security_token=token,
        protocol="http", endpoint=ADDRESS, **more))


def request(name, **more):
    return models.CreateJobRequest(
        display_name=name, job_type="PyTorchJob", user_command="python train.py --lr 0.1 # *+%~ 中文",
        job_specs=[models.JobSpec(type="Worker", pod_count=2, image="registry.example/image:1",
                                  ecs_spec="ecs.g6.large", restart_policy="Never")],
        **more)


def whole_request(name):
    return models.CreateJobRequest(
        display_name=name, job_type="TFJob", user_command="python train.py", accessibility="PRIVATE",
        workspace_id="12345", resource_id="quota1", priority=3, description="trial 42", envs={"A": "b c"},
        custom_envs=[models.CreateJobRequestCustomEnvs(key="K", value="V", visible="true")],
        job_max_running_time_minutes=60, success_policy="AllWorkers", options="k=v",
        thirdparty_libs=["numpy==1.26.4"], thirdparty_lib_dir="/root/code",
        data_sources=[models.CreateJobRequestDataSources(uri="oss://bucket/path/", mount_path="/mnt/out"),
                      models.CreateJobRequestDataSources(data_source_id="d-1", mount_path="/mnt/data")],
        code_source=models.CreateJobRequestCodeSource(code_source_id="code-1", branch="main"),
        user_vpc=models.CreateJobRequestUserVpc(
            vpc_id="vpc-1", switch_id="vsw-1", security_group_id="sg-1", extended_cidrs=["10.0.0.0/8"]),
        settings=models.JobSettings(tags={"token": name}, caller="retrial", business_user_id="b"),
        job_specs=[
            models.JobSpec(type="Chief", pod_count=1, image="i",
                           resource_config=models.ResourceConfig(cpu="4", memory="8Gi", gpu="1")),
            models.JobSpec(type="Worker", pod_count=2, image="i",
                           resource_config=models.ResourceConfig(cpu="2", memory="4Gi"))])


class Operations:
    """Each operation; `self.sdk` calls it plainly or through its async twin."""

    def wait_for(self, job, *statuses):
        end = time.monotonic() + PATIENCE_S
        while True:
            found = self.sdk.get_job(job, models.GetJobRequest()).body
            if found.status in statuses:
                return found
            self.assertLess(time.monotonic(), end, f"{job} is {found.status}")
            time.sleep(0.02)

    def create(self, asked):
        body = self.sdk.create_job(asked).body
        self.assertTrue(body.job_id.startswith("dlc") and len(body.job_id) == 16)
        self.assertRegex(body.request_id, "^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$")
        return body.job_id

    def test_a_job_from_its_creation_to_its_end(self):
        job = self.create(whole_request("whole"))
        found = self.wait_for(job, "Running")
        self.assertEqual(found.display_name, "whole")
        self.assertEqual(found.envs, {"A": "b c"})
        self.assertEqual(found.settings.tags, {"token": "whole"})
        self.assertEqual(found.user_vpc.extended_cidrs, ["10.0.0.0/8"])
        self.assertEqual([pod.type for pod in found.pods], ["chief", "worker", "worker"])
        self.assertEqual((found.request_cpu, found.request_gpu), (8, 1.0))
        self.assertEqual(found.job_specs[1].resource_config.memory, "4Gi")
        self.assertEqual(found.data_sources[0].uri, "oss://bucket/path/")
        found = self.wait_for(job, "Succeeded")
        self.assertEqual(found.reason_code, "JobSucceeded")
        self.assertEqual([step.status for step in found.status_history],
                         ["Creating", "Queuing", "EnvPreparing", "Running", "Succeeded"])
        self.assertTrue(found.gmt_finish_time.endswith("Z"))
        thin = self.sdk.get_job(job, models.GetJobRequest(need_detail=False)).body
        self.assertEqual(thin.pods, [])
        self.assertEqual(self.sdk.delete_job(job).body.job_id, job)
        with self.assertRaises(ClientException) as raised:
            self.sdk.get_job(job, models.GetJobRequest())
        self.assertEqual((raised.exception.code, raised.exception.status_code), ("NotFound", 404))

    def test_lists(self):
        mark = f"list-{type(self).__name__}"
        jobs = [self.create(request(f"{mark}-{number}", settings=models.JobSettings(tags={"mark": f"{mark}/ +*"})))
                for number in range(3)]
        tags = {"mark": f"{mark}/ +*"}
        found = self.sdk.list_jobs(models.ListJobsRequest(tags=tags, page_size=2, page_number=1)).body
        self.assertEqual((found.total_count, len(found.jobs)), (3, 2))
        self.assertIsInstance(found.jobs[0].request_gpu, str)
        found = self.sdk.list_jobs(models.ListJobsRequest(
            display_name=mark.upper(), job_ids=",".join(jobs[:2]), order="asc", sort_by="DisplayName",
            workspace_id="10001", show_own=True, start_time="1970-01-01T00:00:00Z")).body
        self.assertEqual([job.job_id for job in found.jobs], jobs[:2])
        self.assertEqual(self.sdk.list_jobs(models.ListJobsRequest(display_name="no such name")).body.jobs, [])
        self.sdk.list_jobs(models.ListJobsRequest())

    def test_stop(self):
        job = self.create(request("stop"))
        self.wait_for(job, "Running")
        self.assertEqual(self.sdk.stop_job(job).body.job_id, job)
        self.assertEqual(self.wait_for(job, "Stopped").reason_code, "JobStoppedByUser")
        with self.assertRaises(ClientException) as raised:
            self.sdk.stop_job(job)
        self.assertEqual(raised.exception.code, "400")
        self.assertIn("Job can't be stopped, because it is Stopped", raised.exception.message)

    def test_update(self):
        job = self.create(whole_request("update"))
        self.sdk.update_job(job, models.UpdateJobRequest(priority=9, accessibility="PUBLIC"))
        found = self.sdk.get_job(job, models.GetJobRequest()).body
        self.assertEqual((found.priority, found.accessibility), (9, "PUBLIC"))
        job = self.create(request("without-quota"))
        self.sdk.update_job(job, models.UpdateJobRequest(priority=9))
        self.assertEqual(self.sdk.get_job(job, models.GetJobRequest()).body.priority, 1)

    def test_logs_and_events(self):
        job = self.create(request("logs"))
        self.wait_for(job, "Succeeded")
        pod = self.sdk.get_job(job, models.GetJobRequest()).body.pods[0]
        self.assertEqual(pod.pod_id, f"{job}-master-0")
        logs = self.sdk.get_pod_logs(job, pod.pod_id, models.GetPodLogsRequest()).body
        self.assertEqual((logs.logs, logs.pod_uid), (["loss 0 中文 é", "loss 1 中文 é"], pod.pod_uid))
        logs = self.sdk.get_pod_logs(job, pod.pod_id, models.GetPodLogsRequest(
            pod_uid=pod.pod_uid, max_lines=1, start_time=pod.gmt_create_time, download_to_file=False,
            containers="pytorch", end_time="2099-01-01T00:00:00Z")).body
        self.assertEqual(logs.logs, ["loss 0 中文 é"])
        events = self.sdk.get_job_events(job, models.GetJobEventsRequest(max_events_num=100)).body.events
        self.assertIn("job is Succeeded JobSucceeded", events[-1])
        events = self.sdk.get_pod_events(
            job, pod.pod_id, models.GetPodEventsRequest(max_events_num=100, pod_uid=pod.pod_uid)).body.events
        self.assertEqual(len(events), 3)

    def test_metrics(self):
        job = self.create(request("metrics"))
        self.wait_for(job, "Running")
        found = self.sdk.get_job_metrics(job, models.GetJobMetricsRequest(metric_type="GpuCoreUsage")).body
        self.assertEqual(len(found.pod_metrics), 2)
        self.assertIsInstance(found.pod_metrics[0].metrics[0].value, float)
        self.assertTrue(self.sdk.get_metrics(models.GetMetricsRequest(job_id=job)).body.success)

    def test_signals(self):
        job = self.create(request("signals"))
        target = models.SignalTarget(scope="Job")
        sent = self.sdk.create_signal(job, models.CreateSignalRequest(signal="SIGUSR1", target=target)).body
        found = self.sdk.list_signals(job, models.ListSignalsRequest()).body
        self.assertEqual([signal.signal_id for signal in found.signals], [sent.signal_id])
        found = self.sdk.get_signal(job, sent.signal_id, models.GetSignalRequest()).body
        self.assertEqual(found.signal, "SIGUSR1")

    def test_machines(self):
        found = self.sdk.list_ecs_specs(models.ListEcsSpecsRequest(
            accelerator_type="CPU", page_number=1, page_size=2)).body
        self.assertEqual([spec.instance_type for spec in found.ecs_specs], ["ecs.g6.large", "ecs.g6.xlarge"])
        self.assertEqual(found.total_count, 3)

    def test_tags(self):
        job = self.create(request("tags"))
        self.sdk.tag_resources(models.TagResourcesRequest(
            region_id="cn-hangzhou", resource_id=[job], resource_type="Job",
            tag=[models.TagResourcesRequestTag(key="a", value="1"), models.TagResourcesRequestTag(key="b", value="2")]))
        self.assertEqual(self.sdk.get_job(job, models.GetJobRequest()).body.settings.tags, {"a": "1", "b": "2"})
        self.sdk.untag_resources(models.UntagResourcesRequest(
            resource_id=[job], resource_type="Job", tag_key=["a"], all=False))
        self.assertEqual(self.sdk.get_job(job, models.GetJobRequest()).body.settings.tags, {"b": "2"})

    def test_a_path_with_a_character_that_is_encoded(self):
        with self.assertRaises(ClientException) as raised:
            self.sdk.get_job("no such/job+ü", models.GetJobRequest())
        self.assertEqual(raised.exception.code, "NotFound")
        self.assertIn("no such/job+ü", raised.exception.message)

    def test_what_goes_wrong_is_what_the_sdk_takes_it_for(self):
        for name, kind, code in [
            ("fault-500", ServerException, "InternalError"),
            ("fault-429", ClientException, "Throttling.User"),
            ("fault-wait", ThrottlingException, "Throttling.Api"),
            ("fault-html", UnretryableException, None),
            ("fault-drop", UnretryableException, None),
        ]:
            with self.subTest(name), self.assertRaises(kind) as raised:
                self.sdk.create_job(request(name))
            if code:
                self.assertEqual(raised.exception.code, code)
            if kind is ThrottlingException:
                self.assertEqual(raised.exception.retry_after, 50)


class PlainKey(Operations, unittest.TestCase):
    sdk = Plain(client())


class PlainKeyAsync(Operations, unittest.TestCase):
    sdk = Async(client())


class SecurityToken(Operations, unittest.TestCase):
    sdk = Plain(client("temporary-key", "temporary-secret", "Token/with+special=chars=="))


class SecurityTokenAsync(Operations, unittest.TestCase):
    sdk = Async(client("temporary-key", "temporary-secret", "Token/with+special=chars=="))


class Refusals(unittest.TestCase):
    def refused(self, sdk, code, status):
        with self.assertRaises(ClientException) as raised:
            sdk.list_jobs(models.ListJobsRequest())
        self.assertEqual((raised.exception.code, raised.exception.status_code), (code, status))
        return raised.exception

    def test_who_is_refused(self):
        self.refused(client("nobody", "x"), "InvalidAccessKeyId.NotFound", 404)
        self.refused(client("plain-key", "wrong"), "SignatureDoesNotMatch", 400)
        self.refused(client("temporary-key", "temporary-secret", "other"), "InvalidSecurityToken.Malformed", 400)
        self.refused(client("ended-key", "s", "token"), "InvalidSecurityToken.Expired", 400)
        denied = self.refused(client("denied-key", "s"), "NoPermission", 403)
        self.assertEqual(denied.access_denied_detail["AuthAction"], "paidlc:ListJobs")

    def test_a_body_that_is_too_large(self):
        with self.assertRaises(ClientException) as raised:
            client().create_job(request("large", description="x" * 70000))
        self.assertEqual(raised.exception.code, "InvalidParameter")

    def test_what_the_sdk_sends_twice_is_two_jobs(self):
        from darabonba.policy.retry import RetryOptions
        options = RetryOptions({"retryable": True, "retryCondition": [
            {"maxAttempts": 3, "backoff": {"policy": "Fixed", "period": 10}, "exception": ["RetryError"]}]})
        client(retry_options=options).create_job(request("accepted-and-dropped"))
        found = client().list_jobs(models.ListJobsRequest(display_name="accepted-and-dropped")).body
        self.assertEqual(found.total_count, 2)
        calls = json.load(urllib.request.urlopen(f"http://{ADDRESS}/simulator/calls"))
        self.assertIn("dropped", [call["outcome"] for call in calls])


if __name__ == "__main__":
    unittest.main(verbosity=2)
