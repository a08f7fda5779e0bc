"""Alibaba Cloud's own client of MaxCompute against the simulator: every flow that Retrial relies on, and more.

Run by tests/official_maxcompute.rs, which starts the simulator: python maxcompute_operations.py HOST:PORT
The accounts, the rules and the faults' names are those of the script in that file.
"""

import json
import sys
import time
import unittest
import urllib.request

from odps import ODPS, accounts, errors, options

ADDRESS = sys.argv.pop(1)
ENDPOINT = f"http://{ADDRESS}/api"
PATIENCE_S = 20


def client(key="plain-key", secret="plain-secret", account=None, **more):
    more.setdefault("project", "simulated_project")
    if account is not None:
        return ODPS(account=account, endpoint=ENDPOINT, **more)
    return ODPS(key, secret, endpoint=ENDPOINT, **more)


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not become true")
        time.sleep(0.02)


def execute(odps, query, **more):
    """As execute_sql, which looks once in a second."""
    instance = odps.run_sql(query, **more)
    instance.wait_for_success(interval=0.05)
    return instance


def execute_flow(odps, *arguments):
    odps.run_xflow(*arguments).wait_for_success(interval=0.05)


def post(odps, xml):
    url = odps.get_project().instances.resource()
    return odps.rest.post(url, data=xml, headers={"Content-Type": "application/xml"})


class Flows:
    """Each flow; `self.odps` signs in one of the two ways."""

    def setUp(self):
        self.odps = client(region_name=self.region)

    def name(self, stem):
        return f"{stem}_{self.region or 'v2'}".replace("-", "_")

    def test_a_task_from_its_creation_to_its_rows_by_both_routes(self):
        instance = self.odps.run_sql("select 0.91 as auc, 'a\"b,c' as s, cast(null as bigint) as n, '中文 é' as c")
        self.assertIn(instance.status.value, ("Running", "Terminated"))
        instance.wait_for_success(interval=0.05)
        self.assertEqual(instance.status.value, "Terminated")
        self.assertEqual(instance.owner, "ALIYUN$simulated@example.com")
        self.assertLessEqual(instance.start_time, instance.end_time)
        with instance.open_reader(tunnel=False) as reader:
            self.assertEqual(reader.raw.splitlines()[0], '"auc","s","n","c"')
            row = next(iter(reader))
            self.assertEqual((row[0], row[1], row[3]), ("0.91", 'a"b,c', "中文 é"))
        with instance.open_reader(tunnel=True) as reader:
            self.assertEqual(reader.count, 1)
            self.assertEqual([row.values for row in reader], [[0.91, 'a"b,c', None, "中文 é"]])

    def test_many_rows_come_by_the_tunnel_and_not_by_the_other_route(self):
        numbers = "with recursive n(a) as (select 1 as a union all select a + 1 as a from n where a < 12000) "
        instance = execute(self.odps, numbers + "select a, a / 2 as half, a % 2 = 0 as even from n order by a")
        with instance.open_reader(tunnel=True) as reader:
            rows = [row.values for row in reader[11990:]]
            self.assertEqual((reader.count, rows[-1], len(rows)), (12000, [12000, 6000.0, 1], 10))
        with instance.open_reader(tunnel=True, limit=True, reopen=True) as reader:
            self.assertEqual(reader.count, 10000)
        with instance.open_reader(tunnel=False) as reader:
            self.assertEqual(len(list(reader)), 10000)

    def test_tables_are_made_filled_described_and_dropped(self):
        name = self.name("made")
        self.odps.delete_table(name, if_exists=True)
        self.assertFalse(self.odps.exist_table(name))
        table = self.odps.create_table(name, ("a bigint, b string, c double", "pt string"), lifecycle=7)
        execute(self.odps, f"insert overwrite table {name} partition (pt='x') select 1, 'one', 1.5 union all select 2, 'two', null")
        execute(self.odps, f"insert into {name} partition (pt) select 3, 'three', 3.5, 'y'")
        execute(self.odps, f"insert overwrite {name} partition (pt='x') values (4, 'it\\'s', 4)")
        table.reload()
        self.assertEqual([c.name for c in table.table_schema.simple_columns], ["a", "b", "c"])
        self.assertEqual([str(c.type) for c in table.table_schema.columns], ["BIGINT", "STRING", "DOUBLE", "STRING"])
        self.assertEqual((table.lifecycle, table.owner), (7, "ALIYUN$simulated@example.com"))
        self.assertEqual(sorted(p.partition_spec["pt"] for p in table.partitions), ["x", "y"])
        self.assertTrue(table.exist_partition("pt=y"))
        self.assertFalse(table.exist_partition("pt=z"))
        self.assertIn(name, [found.name for found in self.odps.list_tables(prefix=name)])
        with table.open_reader(partition="pt=x") as reader:
            self.assertEqual([row.values[:3] for row in reader], [[4, "it's", 4.0]])
        with self.assertRaises(errors.ODPSError) as raised:
            execute(self.odps, f"select * from {name}")
        self.assertIn("full scan", str(raised.exception))
        hints = {"odps.sql.allow.fullscan": "true"}
        with execute(self.odps, f"select count(*) as n from {name}", hints=hints).open_reader() as reader:
            self.assertEqual(next(iter(reader))[0], 2)
        table.drop()
        self.assertFalse(self.odps.exist_table(name))

    def test_a_script_of_several_statements_runs_in_order(self):
        name = self.name("script")
        hints = {"odps.sql.submit.mode": "script"}
        execute(self.odps, 
            f"set odps.sql.mapper.split.size=16;\ndrop table if exists {name};\n"
            f"create table {name} as select 1 as a union all select 5 as a;\n"
            f"insert into {name} select max(a) + 1 from simulated_project.{name}; -- done", hints=hints)
        with execute(self.odps, f"select sum(a) as s from {name}").open_reader() as reader:
            self.assertEqual(next(iter(reader))[0], 12)
        with self.assertRaises(errors.ParseError):
            execute(self.odps, "select 1; select 2")

    def test_what_fails_says_why(self):
        for query, kind, text in [
            ("select *\nfrom no_such_table", errors.NoSuchTable, "[2,6] Table not found - table simulated_project.no_such_table"),
            ("selec 1", errors.ParseError, "ODPS-0130161:[1,1]"),
            ("select nothing from dual", errors.ODPSError, "ODPS-0130071:[1,8]"),
            ("select nofunction(1) as x", errors.ODPSError, "function or view 'nofunction'"),
            ("PAI -name kmeans", errors.ParseError, "ODPS-0130161"),
            ("create table dual (a bigint)", errors.ODPSError, "already exists"),
        ]:
            with self.assertRaises(errors.ODPSError) as raised:
                execute(self.odps, query)
            self.assertIn(text, str(raised.exception))
            self.assertIsInstance(raised.exception, kind, query)
            self.assertTrue(raised.exception.instance_id)
        failed = self.odps.run_sql("select 'scripted-failure' as s")
        with self.assertRaises(errors.ODPSError) as raised:
            failed.wait_for_success(interval=0.05)
        self.assertEqual(raised.exception.code, "ODPS-0010000")
        statuses = failed.get_task_statuses()
        self.assertEqual([task.status.value for task in statuses.values()], ["FAILED"])

    def test_a_task_waits_runs_and_is_stopped(self):
        instance = self.odps.run_sql("select 'endless' as s", priority=3)
        wait_until(lambda: instance.get_task_statuses()["AnonymousSQLTask"].status.value == "RUNNING")
        self.assertEqual(instance.priority, 3)
        progress = instance.get_task_progress("AnonymousSQLTask")
        self.assertEqual(progress.stages[0].total_workers, 1)
        self.assertIn("AnonymousSQLTask", instance.get_task_names())
        self.odps.stop_instance(instance.id)
        wait_until(lambda: instance.status.value == "Terminated")
        self.assertFalse(instance.is_successful())
        with self.assertRaises(errors.ODPSError) as raised:
            instance.wait_for_success(interval=0.05)
        self.assertIn("status=CANCELLED", str(raised.exception))

    def test_an_instance_is_found_shown_and_listed(self):
        guid = self.name("guid")
        first = self.odps.run_sql("select 1 as a", unique_identifier_id=guid)
        again = self.odps.run_sql("select 2 as a", unique_identifier_id=guid)
        self.assertEqual(first.id, again.id)
        first.wait_for_success(interval=0.05)
        self.assertEqual(first.get_unique_identifier_id(), guid)
        found = self.odps.get_instance(first.id)
        self.assertEqual(found.get_sql_query(), "select 1 as a;")
        self.assertTrue(self.odps.exist_instance(first.id))
        self.assertFalse(self.odps.exist_instance("nope"))
        summary = found.get_task_summary("AnonymousSQLTask")
        self.assertIn("Cost", summary)
        self.assertIn("Instance", found.get_task_detail("AnonymousSQLTask"))
        now = time.time()
        for more in [{}, {"status": "Terminated"}, {"start_time": now - 600, "end_time": now + 600, "only_owner": True}]:
            self.assertIn(first.id, [listed.id for listed in self.odps.list_instances(**more)])
        self.assertNotIn(first.id, [listed.id for listed in self.odps.list_instances(start_time=now + 600)])
        self.assertNotIn(first.id, [listed.id for listed in self.odps.list_instances(status="Running")])

    def test_jobs_are_listed_by_their_name_and_in_pages(self):
        name = self.name("job")
        flows = [self.odps.run_xflow("split", "algo_public", {"inputTableName": "dual", "output1TableName": "split_out"}, hints={
            "settings": json.dumps({"odps.task.workflow.custom_job_name": name})}) for _ in range(3)]
        listed = list(self.odps.get_project().instances.iterate(job_name=name))
        self.assertEqual([one.id for one in listed], [one.id for one in flows])
        url = self.odps.get_project().instances.resource()
        page = self.odps.rest.get(url, params={"maxitems": "2", "jobname": name}).text
        self.assertEqual(page.count("<Name>"), 2)
        marker = page.split("<Marker>")[1].split("</Marker>")[0]
        last = self.odps.rest.get(url, params={"maxitems": "2", "jobname": name, "marker": marker}).text
        self.assertEqual((last.count("<Name>"), "<Marker></Marker>" in last), (1, True))

    def test_a_logview_is_a_token_that_reads_one_instance(self):
        instance = execute(self.odps, "select 1 as a")
        other = execute(self.odps, "select 2 as a")
        url = instance.get_logview_address(use_legacy=True)
        self.assertTrue(url.startswith(f"http://{ADDRESS}/logview/?h={ENDPOINT}&p=simulated_project&i={instance.id}&token="))
        bearer = client(account=accounts.BearerTokenAccount(url.split("token=")[1]))
        self.assertEqual(bearer.get_instance(instance.id).status.value, "Terminated")
        for refused in [lambda: bearer.get_instance(other.id).status, lambda: bearer.run_sql("select 1")]:
            with self.assertRaises(errors.NoPermission):
                refused()

    def test_an_algorithm_runs_and_what_it_made_can_be_read(self):
        table, model, out = self.name("points"), self.name("clusters"), self.name("evaluated")
        self.odps.delete_table(table, if_exists=True)
        execute(self.odps, 
            f"create table {table} as select * from (select 'id1' as id, 1 as f0, 2 as f1 union all select 'id2', 1, 3"
            " union all select 'id3', 1, 4 union all select 'id4', 0, 3 union all select 'id5', 0, 4) tmp")
        flow = self.odps.run_xflow("kmeans", "algo_public", {
            "inputTableName": table, "selectedColNames": "f0,f1", "appendColNames": "id", "centerCount": 3, "loop": 10,
            "accuracy": 0.01, "initCenterMethod": "topk", "modelName": model, "idxTableName": table + "_idx",
            "clusterCountTableName": table + "_count", "centerTableName": table + "_center"})
        flow.wait_for_success(interval=0.05)
        source = self.odps.get_project().xflows.get_xflow_source(flow)
        self.assertIn(f"simulated_project/offlinemodels/{model}", source.decode())
        results = self.odps.get_xflow_results(flow)
        self.assertEqual(sorted(results), ["check", "train"])
        self.assertEqual(self.odps.get_xflow_sub_instances(flow)["train"].status.value, "Terminated")
        with self.odps.get_table(table + "_count").open_reader() as reader:
            self.assertEqual([row.values for row in reader], [[0, 1], [1, 2], [2, 2]])
        with self.odps.get_table(table + "_center").open_reader() as reader:
            self.assertEqual([row.values for row in reader], [[0, 1.0, 2.0], [1, 0.5, 3.0], [2, 0.5, 4.0]])
        with self.odps.get_table(table + "_idx").open_reader() as reader:
            self.assertEqual([row.values for row in reader][3], ["id4", 1, 0.5])
        execute_flow(self.odps, "cluster_evaluation", "algo_public", {
            "inputTableName": table, "modelName": model, "outputTableName": out})
        query = f"select cast(get_json_object(summary, '$.calinhara') as string) as vrc from {out}"
        with execute(self.odps, query).open_reader(tunnel=False) as reader:
            # Between: (0.4, 1.2) to each centre, squared and weighted, over 2; within: 4 * 0.25 over 2.
            self.assertAlmostEqual(float(next(iter(reader))[0]), 3.0)
        self.assertTrue(self.odps.exist_offline_model(model))
        self.assertIn(model, [found.name for found in self.odps.list_offline_models()])
        self.odps.delete_offline_model(model)
        self.assertFalse(self.odps.exist_offline_model(model))

    def test_an_algorithm_that_fails_says_why(self):
        for name, parameters, kind, text in [
            ("kmeans", {"inputTableName": "no_such_table", "idxTableName": "x"}, errors.NoSuchTable, "no_such_table"),
            ("kmeans", {"inputTableName": "dual", "idxTableName": "x", "centerCount": "1001"}, errors.ODPSError, "centerCount"),
            ("prediction", {"inputTableName": "dual", "modelName": "none", "outputTableName": "x"}, errors.ODPSError, "offline model none"),
            ("no_such_flow", {}, errors.ODPSError, "no_such_flow"),
        ]:
            flow = self.odps.run_xflow(name, "algo_public", parameters)
            with self.assertRaises(kind) as raised:
                flow.wait_for_success(interval=0.05)
            self.assertIn(text, str(raised.exception))

    def test_an_instant_result_is_not_asked_for_again(self):
        instance = self.odps.run_sql("select 'instant' as s")
        self.assertTrue(instance._is_sync)
        with instance.open_reader(tunnel=False) as reader:
            self.assertEqual(next(iter(reader))[0], "instant")

    def test_the_project_is_shown(self):
        project = self.odps.get_project()
        project.reload()
        self.assertEqual((project.name, project.owner), ("simulated_project", "ALIYUN$simulated@example.com"))
        self.assertTrue(self.odps.exist_project("simulated_project"))
        self.assertFalse(self.odps.exist_project("elsewhere"))
        with self.assertRaises(errors.ODPSError) as raised:
            client(project="elsewhere", region_name=self.region).run_sql("select 1")
        self.assertIn("ODPS-0420111", str(raised.exception))


class Version2(Flows, unittest.TestCase):
    region = None


class Version4(Flows, unittest.TestCase):
    region = "cn-hangzhou"


class Refusals(unittest.TestCase):
    def refused(self, odps, kind, code):
        with self.assertRaises(kind) as raised:
            odps.run_sql("select 1 as a")
        self.assertIn(code, str(raised.exception))

    def test_who_is_not_let_in_is_told_why(self):
        self.refused(client(secret="wrong"), errors.SignatureNotMatch, "ODPS-0410042")
        self.refused(client("nobody"), errors.ODPSError, "ODPS-0410051")
        self.refused(client("denied-key", "s"), errors.NoPermission, "odps:CreateInstance")
        client("denied-key", "s").get_project().reload()

    def test_temporary_keys_and_tokens(self):
        sts = lambda key, token: client(account=accounts.StsAccount(key, "temporary-secret", token))
        execute(sts("temporary-key", "Token/with+special=chars=="), "select 1 as a")
        self.refused(sts("temporary-key", "other"), errors.ODPSError, "ODPS-0410051")
        self.refused(sts("ended-key", "token"), errors.ODPSError, "expired")
        bearer = client(account=accounts.BearerTokenAccount("simulated-bearer"))
        execute(bearer, "select 1 as a")
        self.refused(client(account=accounts.BearerTokenAccount("other")), errors.ODPSError, "ODPS-0410051")

    def test_applications_sign_too(self):
        app = accounts.AppAccount("plain-key", "plain-secret")
        execute(client(app_account=app), "select 1 as a")
        self.refused(client(app_account=accounts.AppAccount("plain-key", "wrong")), errors.SignatureNotMatch, "0410042")


class Faults(unittest.TestCase):
    def setUp(self):
        self.odps = client()

    def state(self):
        return json.load(urllib.request.urlopen(f"http://{ADDRESS}/simulator/state"))

    def instances(self, guid):
        return [one for one in self.state()["instances"] if one["guid"] == guid]

    def test_what_was_accepted_is_there_although_the_answer_was_lost(self):
        for guid in ["accepted-and-dropped", "accepted-and-500"]:
            with self.assertRaises(Exception):
                self.odps.run_sql("select 1 as a", unique_identifier_id=guid)
            self.assertEqual(len(self.instances(guid)), 1)
            again = self.odps.run_sql("select 1 as a", unique_identifier_id=guid)
            self.assertEqual([one["id"] for one in self.instances(guid)], [again.id])
            again.wait_for_success(interval=0.05)
            self.assertEqual(self.instances(guid)[0]["starts"], 1)

    def test_a_conflict_says_when_to_come_again(self):
        with self.assertRaises(errors.ODPSError) as raised:
            self.odps.run_sql("select 1 as a", unique_identifier_id="conflict-409")
        self.assertEqual(raised.exception.code, "InstanceConflict")
        self.odps.run_sql("select 1 as a", unique_identifier_id="conflict-409")
        self.assertEqual(len(self.instances("conflict-409")), 1)

    def test_an_xflow_is_not_unique(self):
        xml = ("<Instance><XflowInstance><Project>algo_public</Project><Xflow>split</Xflow><Parameters/>"
               "<Guid>xflow-twice</Guid><Priority>1</Priority></XflowInstance></Instance>")
        ids = {post(self.odps, xml).headers["Location"].rsplit("/", 1)[1] for _ in range(2)}
        self.assertEqual(len(ids), 2)
        url = self.odps.get_instance(ids.pop()).resource()
        self.assertIn("xflow-twice", self.odps.rest.get(url, action="xsource").text)

    def test_errors_that_pass_are_tried_again_by_the_client(self):
        instance = execute(self.odps, "select 'fault-502' as s")
        self.assertEqual(instance.get_task_statuses()["AnonymousSQLTask"].status.value, "SUCCESS")

    def test_throttling_is_told(self):
        with self.assertRaises(errors.ODPSError) as raised:
            self.odps.run_sql("select 'fault-429' as s")
        self.assertIn("QPSExceeded", type(raised.exception).__name__ + str(raised.exception.code))


if __name__ == "__main__":
    options.retry_times = 2
    unittest.main(verbosity=2)
