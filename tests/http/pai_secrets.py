"""Alibaba Cloud's own SDK for PAI AutoML sends the keys of a cloud with a configuration.

Run by secrets.rs, which starts the daemon and a simulated cloud: python pai_secrets.py HOST:PORT CLOUD ID KEY
"""

import sys
import time

from alibabacloud_paiautoml20220828 import models
from alibabacloud_paiautoml20220828.client import Client
from alibabacloud_tea_openapi.models import Config

ADDRESS, CLOUD, ID, KEY = sys.argv[1:]
PATIENCE_S = 60
JOB = ("dlc submit pytorchjob --name=t_${exp_id}_${trial_id} --command 'train ${x}' --workers=1 --worker_image=i "
       "--worker_spec=ecs.g6.large --workspace_id=10001")

sdk = Client(Config(access_key_id="LTAI-anybody", access_key_secret="any-secret", protocol="http", endpoint=ADDRESS))


def finished(experiment):
    began = time.monotonic()
    while True:
        shown = sdk.get_hpo_experiment(experiment).body
        if shown.status == "FINISHED":
            return shown
        assert shown.status not in ("FAILED", "PAUSED", "USER_CANCELED"), shown.to_map()
        assert time.monotonic() - began < PATIENCE_S, shown.to_map()
        time.sleep(0.05)


config = models.HpoExperimentConfig(
    platform_config=models.HpoExperimentConfigPlatformConfig(name="DLC", cmd=[JOB]),
    metric_config=models.HpoExperimentConfigMetricConfig(
        metric_type="stdout", metric_source=["cmd1"], final_mode="best", metric_dict={"score=([0-9]+)": 1}),
    search_space={"${x}": {"_type": "choice", "_value": [1, 2, 3]}},
    yml_config=models.HpoExperimentConfigYmlConfig(trial_concurrency=1, max_trial_number=1),
    dlc_config=models.HpoExperimentConfigDlcConfig(
        access_id=ID, access_key=KEY, endpoint=CLOUD, region="cn-hangzhou", protocol="http"),
    # The service's own clients often give both.
    oss_config=models.HpoExperimentConfigOssConfig(
        access_key_id=ID, access_key_secret=KEY, endpoint="http://127.0.0.1:9"))
experiment = sdk.create_hpo_experiment(models.CreateHpoExperimentRequest(
    name="sealed", hpo_experiment_configuration=config)).body.experiment_id
shown = finished(experiment).hpo_experiment_configuration
assert KEY not in str(shown) and ID not in str(shown), shown
assert (shown["dlc_config"]["access_id"], shown["dlc_config"]["access_key"]) == ("****", "****"), shown

# What was read is sent back, with one trial more.
again = models.HpoExperimentConfig().from_map(shown)
again.yml_config.max_trial_number = 2
sdk.update_hpo_experiment(experiment, models.UpdateHpoExperimentRequest(hpo_experiment_configuration=again))
ended = finished(experiment)
assert ended.trial_status == {"SUCCEEDED": "2"}, ended.to_map()
print("content")
