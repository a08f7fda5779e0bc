"""TensorBoard's own HParams plugin reads what was exported."""

import tempfile
import unittest
from pathlib import Path

import peers
from retrial.integrations.tensorboard import export_hparams

if peers.available("tensorboard"):
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups


@peers.needs("tensorboard", program=True)
class TensorBoard(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def read(self, source):
        """What the plugin answers to its page."""
        self.made = export_hparams(source, self.dir.name)
        events = plugin_event_multiplexer.EventMultiplexer()
        events.AddRunsFromDirectory(self.dir.name)
        events.Reload()
        self.events = events
        provider = data_provider.MultiplexerDataProvider(events, self.dir.name)
        plugin = backend_context.Context(base_plugin.TBContext(data_provider=provider))
        request = context.RequestContext()
        about = get_experiment.Handler(request, plugin, "", api_pb2.GetExperimentRequest()).run()
        columns = [api_pb2.ColParams(metric=info.name) for info in about.metric_infos]
        columns[0].order = api_pb2.ORDER_DESC
        statuses = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
        wanted = api_pb2.ListSessionGroupsRequest(
            col_params=columns, start_index=0, slice_size=100, allowed_statuses=statuses
        )
        groups = list_session_groups.Handler(request, plugin, "", wanted).run()
        return about, groups.session_groups

    def test_every_trial_is_a_session_and_the_best_comes_first(self):
        out = peers.load(peers.nested())
        about, groups = self.read(peers.nested())
        self.assertEqual(about.name, "nested")
        infos = {info.name: info for info in about.hparam_infos}
        self.assertEqual(set(infos), {*peers.NESTED["space"], "net.n", "net.act"})
        self.assertEqual(infos["lr"].domain_interval.max_value, 0.5)
        self.assertEqual(len(infos["kind"].domain_discrete.values), 5)
        self.assertEqual(infos["net.n"].WhichOneof("domain"), None)
        self.assertEqual([info.name.tag for info in about.metric_infos], ["final/accuracy"])
        self.assertEqual(len(groups), 12)
        values = [group.metric_values[0].value for group in groups if group.metric_values]
        self.assertEqual(values, sorted(values, reverse=True))
        trials = {f"trial {trial['trial']}": trial for trial in out["trials"]}
        for group in groups:
            trial = trials[group.name]
            self.assertEqual(group.hparams["lr"].number_value, trial["params"]["lr"])
            net = trial["params"]["net"]
            self.assertEqual(group.hparams["net"].string_value, net["_name"] if isinstance(net, dict) else net)
            if isinstance(net, dict):
                self.assertEqual(group.hparams["net.n"].number_value, net["n"])
            failed = trial["status"] == "FAILED"
            status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
            self.assertEqual([session.status for session in group.sessions], [status])
            if trial["value"] is not None:
                self.assertAlmostEqual(group.metric_values[0].value, trial["value"], places=6)

    def test_the_curves_are_there(self):
        out = peers.load(peers.nested())
        self.read(out)
        for trial, place in zip(out["trials"], self.made):
            if not trial["reports"]:
                continue
            found = self.events.Tensors(Path(place).name, "accuracy")
            self.assertEqual([event.step for event in found], [report["step"] for report in trial["reports"]])
            for event, report in zip(found, trial["reports"]):
                self.assertAlmostEqual(event.tensor_proto.float_val[0], report["value"], places=6)

    def test_several_objectives_are_columns_and_nothing_is_written_over(self):
        about, groups = self.read(peers.front())
        self.assertEqual([info.name.tag for info in about.metric_infos], ["final/gain", "final/price"])
        self.assertEqual(len(groups), 4)
        with self.assertRaises(FileExistsError):
            export_hparams(peers.front(), self.dir.name)


if __name__ == "__main__":
    unittest.main()
