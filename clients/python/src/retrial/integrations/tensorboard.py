"""TensorBoard: trials as sessions of its HParams plugin, with their curves."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Union

from ..table import flat
from .exported import Exported, Source, curve, read, span_ms
from .space import Leaf, leaves

# By TensorBoard's own names.
_DONE = ("SUCCEEDED", "EARLY_STOPPED")
_LIVE = ("WAITING", "RUNNING", "UNKNOWN")


def export_hparams(source: Source, logdir: Union[str, "os.PathLike[str]"]) -> List[str]:
    """Writes a directory for `tensorboard --logdir`; gives the directories of the trials below it.

    Each trial is a session with its parameters, its reports as scalars at their steps, and its results as `final/METRIC`,
    by which the table of the HParams tab can be sorted. Reports have no times of their own: they get that of the trial's
    end. Raises `FileExistsError` if the directory has something in it, since TensorBoard shows all that it finds.
    """
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    experiment = read(source)
    place = os.fspath(logdir)
    if os.path.isdir(place) and os.listdir(place):
        raise FileExistsError(f"{place} is not empty")
    space: Dict[str, List[Leaf]] = {}
    for leaf in leaves(experiment.about["spec"]["space"]):
        space.setdefault(leaf.name, []).append(leaf)
    results = dict.fromkeys(name for trial in experiment.trials for name in experiment.results(trial))
    created_s = experiment.about["created_ms"] / 1000
    about = api_pb2.Experiment(
        name=experiment.about["name"],
        description=f"Retrial experiment {experiment.about['experiment']}",
        time_created_secs=created_s,
        hparam_infos=[_info(several) for several in space.values()],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"final/{name}"), display_name=name) for name in results
        ],
    )
    _write(place, [_plugin_event("experiment", plugin_data_pb2.HParamsPluginData(experiment=about), created_s)])
    made = []
    for trial in experiment.trials:
        made.append(os.path.join(place, f"trial-{trial['trial']:05}"))
        _write(made[-1], _session(experiment, trial))
    return made


def _session(experiment: Exported, trial: Mapping[str, Any]) -> List[Any]:
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    start_s, end_s = (time / 1000 for time in span_ms(trial))
    info = plugin_data_pb2.SessionStartInfo(
        start_time_secs=start_s, group_name=f"trial {trial['trial']}", model_uri=trial["model"] or ""
    )
    for name, value in flat(trial["params"]).items():
        _put(info.hparams[name], value)
    events = [_plugin_event("session_start_info", plugin_data_pb2.HParamsPluginData(session_start_info=info), start_s)]
    reports = curve(trial)
    for report in reports:
        events += [_scalar(name, value, report["step"], end_s) for name, value in experiment.results(report).items()]
    last = reports[-1]["step"] if reports else 0
    events += [_scalar(f"final/{name}", value, last, end_s) for name, value in experiment.results(trial).items()]
    if trial["status"] not in _LIVE:
        status = "STATUS_SUCCESS" if trial["status"] in _DONE else "STATUS_FAILURE"
        end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value(status), end_time_secs=end_s)
        events.append(_plugin_event("session_end_info", plugin_data_pb2.HParamsPluginData(session_end_info=end), end_s))
    return events


def _info(several: List[Leaf]) -> Any:
    """What is known of a parameter; of several domains under different options only the name."""
    from tensorboard.plugins.hparams import api_pb2

    leaf = several[0]
    if len(several) > 1:
        return api_pb2.HParamInfo(name=leaf.name)
    if leaf.kind not in ("choice", "ordinal"):
        info = api_pb2.HParamInfo(name=leaf.name, type=api_pb2.DATA_TYPE_FLOAT64)
        if "normal" not in leaf.kind:
            last = leaf.value[1] - 1 if leaf.kind == "randint" else leaf.value[1]
            info.domain_interval.min_value, info.domain_interval.max_value = leaf.value[0], last
        return info
    info = api_pb2.HParamInfo(name=leaf.name, type=_type(leaf.value))
    for option in leaf.value:
        _put(info.domain_discrete.values.add(), option)
    return info


def _type(options: Any) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    kinds: Dict[type, Any] = {
        bool: api_pb2.DATA_TYPE_BOOL,
        int: api_pb2.DATA_TYPE_FLOAT64,
        float: api_pb2.DATA_TYPE_FLOAT64,
        str: api_pb2.DATA_TYPE_STRING,
    }
    found = {kinds.get(type(option), api_pb2.DATA_TYPE_UNSET) for option in options}
    return found.pop() if len(found) == 1 else api_pb2.DATA_TYPE_UNSET


def _put(slot: Any, value: Any) -> None:
    """Writes a value into a `google.protobuf.Value`."""
    if value is None:
        slot.null_value = 0
    elif isinstance(value, bool):
        slot.bool_value = value
    elif isinstance(value, (int, float)):
        slot.number_value = value
    else:
        slot.string_value = str(value)


def _plugin_event(tag: str, data: Any, time_s: float) -> Any:
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.hparams import metadata

    about = metadata.create_summary_metadata(data)
    value = summary_pb2.Summary.Value(tag=f"_hparams_/{tag}", metadata=about, tensor=metadata.NULL_TENSOR)
    return event_pb2.Event(wall_time=time_s, summary=summary_pb2.Summary(value=[value]))


def _scalar(tag: str, value: float, step: int, time_s: float) -> Any:
    from tensorboard.compat.proto import event_pb2, summary_pb2

    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
    return event_pb2.Event(wall_time=time_s, step=step, summary=summary)


def _write(place: str, events: List[Any]) -> None:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(place)
    try:
        for event in events:
            writer.add_event(event)
    finally:
        writer.close()
