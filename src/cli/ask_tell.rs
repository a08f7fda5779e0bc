//! `ask-tell`: a sampler for any language, one JSON object per line.
//!
//! All lines that have arrived are taken in together, committed together, and answered in order: a client that sends several
//! requests before it reads pays for one sync.

use super::args::{Common, NamedBy};
use super::forgetful::Forgetful;
use super::{spec, store};
use crate::error::{Failure, exit};
use crate::requests;
use crate::runtime::dispatcher::{Dispatcher, Refused};
use crate::runtime::shell::now;
use crate::views::measure;
use engine::command::Command;
use engine::error::{Code, Rejection};
use engine::event::v1::ReportPoint;
use engine::id::{ActorId, AttemptNo, ExperimentId, Seq, TrialId};
use engine::limits;
use engine::state::{Experiment, Trial, TrialStatus};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};

/// Bytes read from standard input at once.
const BUFFER: usize = 1 << 16;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Ask(Ask),
    Tell(Tell),
    Report(Report),
    Best(Empty),
    Pending(Empty),
    Enqueue(Enqueue),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default = "one")]
    count: u32,
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tell {
    id: u32,
    value: Option<f64>,
    #[serde(alias = "values")]
    metrics: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    failed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    id: u32,
    step: u64,
    value: Option<f64>,
    #[serde(alias = "values")]
    metrics: Option<BTreeMap<String, f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Enqueue {
    params: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// Serves requests until standard input ends.
pub fn run(common: &Common, file: &str, seed: Option<u64>) -> Result<u8, Failure> {
    let mut asked = spec::load(common, file)?;
    // The client runs the trials.
    asked.run = None;
    // What is typed counts, and is recorded as if the file had said so: with another seed it is another experiment.
    asked.seed = seed.or(asked.seed);
    let seed = asked.seed.map_or_else(requests::random_bits, Ok)?;
    // A variable that was set for other commands must not make a client's session a recorded one.
    let durable = common.store_from == NamedBy::Typed;
    let mut dispatcher = if durable {
        store::dispatcher(common, true)?.0
    } else {
        Dispatcher::open(Box::new(Forgetful(Seq(0))), Box::new(store::BinarySnapshots))?
    };
    let text = asked.canonical().to_string();
    // Also one that has ended: a client that is started once more must not begin it all over.
    let known = dispatcher
        .state()
        .experiments()
        .filter(|experiment| !experiment.removed)
        .filter(|experiment| experiment.spec.name == asked.name && experiment.spec.text() == text)
        .max_by_key(|experiment| (experiment.created, experiment.id));
    let id = match known {
        Some(experiment) => experiment.id,
        None => {
            let id = requests::new_id(dispatcher.state())?;
            let command =
                Command::CreateExperiment { experiment: id, spec: text, seed, labels: BTreeMap::new() };
            dispatcher.execute(&command, ActorId::CLIENT, now())?;
            id
        }
    };
    dispatcher.only(id);
    let mut session = Session { dispatcher, id };
    session.serve()?;
    session.dispatcher.close(now())?;
    Ok(exit::DONE)
}

struct Session {
    dispatcher: Dispatcher,
    id: ExperimentId,
}

impl Session {
    fn serve(&mut self) -> Result<(), Failure> {
        let mut input = BufReader::with_capacity(BUFFER, std::io::stdin().lock());
        let mut output = std::io::stdout().lock();
        let mut rest: Vec<u8> = Vec::new();
        let mut answers = Vec::new();
        // Within the rest of a line that was too long.
        let mut skipping = false;
        loop {
            let bytes = input.fill_buf()?;
            let ended = bytes.is_empty();
            let line_end = bytes.iter().position(|byte| *byte == b'\n');
            let wanted = if skipping { line_end.map_or(bytes.len(), |at| at + 1) } else { 0 };
            skipping = skipping && line_end.is_none();
            rest.extend_from_slice(bytes.get(wanted..).unwrap_or_default());
            let read = bytes.len();
            input.consume(read);
            if ended && !rest.is_empty() {
                rest.push(b'\n');
            }
            let complete = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in rest.get(..complete).unwrap_or_default().split(|byte| *byte == b'\n') {
                if !line.trim_ascii().is_empty() {
                    self.answer(line, &mut answers)?;
                }
            }
            rest.drain(..complete);
            if rest.len() > limits::MAX_LINE_BYTES {
                rest.clear();
                skipping = true;
                let message = format!("a line has more than {} bytes", limits::MAX_LINE_BYTES);
                push(&mut answers, &refusal(crate::codes::BAD_REQUEST, &message));
            }
            self.dispatcher.sync()?;
            if output.write_all(&answers).and_then(|()| output.flush()).is_err() || ended {
                // Nobody listens any more, or nobody asks.
                return Ok(());
            }
            answers.clear();
        }
    }

    fn answer(&mut self, line: &[u8], answers: &mut Vec<u8>) -> Result<(), Failure> {
        let answer = match understood(line) {
            Ok(request) => self.act(&request),
            Err(why) => {
                let message = format!("the request is not understood: {why}");
                Ok(refusal(crate::codes::BAD_REQUEST, &message))
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(Refused::Rejected(rejection)) => rejected(&rejection),
            Err(Refused::Fatal(fatal)) => return Err(fatal.into()),
        };
        push(answers, &answer);
        Ok(())
    }

    fn act(&mut self, request: &Request) -> Result<Value, Refused> {
        let answer = match request {
            Request::Ask(ask) => self.ask(ask.count),
            Request::Tell(tell) => self.tell(tell),
            Request::Report(report) => self.report(report),
            Request::Best(_) => Ok(self.best()),
            Request::Pending(_) => Ok(self.pending()),
            Request::Enqueue(enqueue) => self.enqueue(&enqueue.params),
        };
        self.dispatcher.settle(now())?;
        answer
    }

    fn experiment(&self) -> Option<&Experiment> {
        self.dispatcher.state().experiment(self.id)
    }

    fn ask(&mut self, count: u32) -> Result<Value, Refused> {
        if count > limits::MAX_ASK {
            let message = format!("`count` is {count}; at most {} are given at once", limits::MAX_ASK);
            return Ok(refusal(crate::codes::BAD_REQUEST, &message));
        }
        let at = now();
        let mut trials = Vec::new();
        for _ in 0..count {
            let trial = match self.dispatcher.ask(self.id, at) {
                Ok(trial) => trial,
                // Between two suggestions the experiment may have come to its end.
                Err(Refused::Rejected(rejection)) => {
                    tracing::debug!(%rejection, "no further suggestion");
                    None
                }
                Err(fatal) => return Err(fatal),
            };
            let Some((experiment, trial)) = self
                .experiment()
                .zip(trial)
                .and_then(|(experiment, id)| Some((experiment, experiment.trial(id)?)))
            else {
                break;
            };
            let mut given = json!({"id": trial.id.0, "params": experiment.spec.space.to_json(&trial.point)});
            if let (Some(parent), Some(given)) = (trial.parent, given.as_object_mut()) {
                given.insert("parent".to_owned(), json!(parent.0));
            }
            trials.push(given);
        }
        Ok(json!({"trials": trials}))
    }

    /// Every metric of the objective, in order: the one value, or metrics by their names.
    fn values(
        &self,
        value: Option<f64>,
        metrics: Option<&BTreeMap<String, f64>>,
    ) -> Result<Option<Vec<f64>>, String> {
        let objective = self.experiment().map(|experiment| experiment.spec.objective.metrics.as_slice());
        let names: Vec<&str> =
            objective.unwrap_or_default().iter().map(|metric| metric.name.as_str()).collect();
        match (value, metrics) {
            (None, None) => Ok(None),
            (Some(value), None) if names.len() == 1 => Ok(Some(vec![value])),
            // The value is the first metric, the others have their names.
            (value, Some(metrics)) => {
                let all = format!("the objective's metrics are {}", names.join(", "));
                let first = value.filter(|_| names.first().is_some_and(|name| !metrics.contains_key(*name)));
                if value.is_some() != first.is_some()
                    || metrics.len() + usize::from(first.is_some()) != names.len()
                {
                    return Err(all);
                }
                let place = |(place, name): (usize, &&str)| match first {
                    Some(value) if place == 0 => Some(value),
                    _ => metrics.get(*name).copied(),
                };
                let found: Option<Vec<f64>> = names.iter().enumerate().map(place).collect();
                found.map(Some).ok_or(all)
            }
            (Some(_), None) => Err(format!(
                "the objective has several metrics: give {{\"metrics\":{{...}}}} with {}",
                names.join(", ")
            )),
        }
    }

    fn tell(&mut self, tell: &Tell) -> Result<Value, Refused> {
        let values = match (self.values(tell.value, tell.metrics.as_ref()), tell.failed) {
            (Ok(Some(values)), false) => Some(values),
            (Ok(None), true) => None,
            (Ok(_), _) => {
                let message = "tell either a value or that the trial failed";
                return Ok(refusal(crate::codes::BAD_REQUEST, message));
            }
            (Err(message), _) => return Ok(refusal(crate::codes::BAD_REQUEST, &message)),
        };
        let command =
            Command::TellTrial { experiment: self.id, trial: TrialId(tell.id), lease: None, values };
        self.dispatcher.execute(&command, ActorId::CLIENT, now())?;
        Ok(json!({"ok": true}))
    }

    fn report(&mut self, report: &Report) -> Result<Value, Refused> {
        let id = TrialId(report.id);
        let values = match self.values(report.value, report.metrics.as_ref()) {
            Ok(Some(values)) => values,
            Ok(None) => return Ok(refusal(crate::codes::BAD_REQUEST, "report a value")),
            Err(message) => return Ok(refusal(crate::codes::BAD_REQUEST, &message)),
        };
        let trial = self.experiment().and_then(|experiment| experiment.trial(id));
        let known = trial.map_or(0, |trial| trial.reported(AttemptNo(0)));
        let command = Command::ReportMetrics {
            experiment: self.id,
            trial: id,
            attempt: AttemptNo(0),
            first: u32::try_from(known).unwrap_or(u32::MAX),
            points: vec![ReportPoint { step: report.step, values, last: false }],
        };
        self.dispatcher.execute(&command, ActorId::CLIENT, now())?;
        self.dispatcher.judge(now())?;
        let stop = self
            .experiment()
            .and_then(|experiment| experiment.trial(id))
            .is_some_and(|trial| trial.stopping.is_some());
        Ok(json!({"decision": if stop { "stop" } else { "continue" }}))
    }

    fn best(&self) -> Value {
        let nothing = |message: &str| json!({"error": {"code": "no_result", "message": message}});
        let Some(experiment) = self.experiment() else { return nothing("there is no experiment") };
        let objective = &experiment.spec.objective;
        let told = |trial: &Trial| {
            let mut told = json!({"id": trial.id.0, "params": experiment.spec.space.to_json(&trial.point)});
            if let Some(object) = told.as_object_mut() {
                if !objective.outcomes.is_multi() {
                    object.insert("value".to_owned(), json!(trial.value));
                }
                if !measure::columns(objective).is_empty() {
                    object.insert("metrics".to_owned(), measure::by_name(objective, &trial.metrics));
                }
            }
            told
        };
        match measure::answer(experiment) {
            Some(answer) => {
                let mut best = told(&answer.trial);
                if let (Some((expected, deviation)), Some(object)) = (answer.expected, best.as_object_mut()) {
                    object.insert("expected".to_owned(), json!({"value": expected, "deviation": deviation}));
                }
                best
            }
            None if experiment.has_best() => {
                json!({"front": measure::leaders(experiment).iter().map(|trial| told(trial)).collect::<Vec<_>>()})
            }
            None => {
                let why = measure::why_no_best(experiment);
                nothing(&why.unwrap_or_else(|| "no trial has a value yet".to_owned()))
            }
        }
    }

    fn pending(&self) -> Value {
        let trials: Vec<Value> = self
            .experiment()
            .into_iter()
            .flat_map(|experiment| {
                experiment.active_trials().filter(|trial| trial.status == TrialStatus::Running).map(
                    |trial| json!({"id": trial.id.0, "params": experiment.spec.space.to_json(&trial.point)}),
                )
            })
            .collect();
        json!({"trials": trials})
    }

    fn enqueue(&mut self, params: &Value) -> Result<Value, Refused> {
        let Some(experiment) = self.experiment() else { return Ok(json!({"ok": false})) };
        let point = experiment.spec.space.from_json(params, "params").map_err(|details| Rejection {
            details,
            ..Rejection::new(
                engine::decide::codes::OUTSIDE_SPACE,
                "the point is outside the search space",
                "",
            )
        })?;
        let command = Command::EnqueuePoint { experiment: self.id, point };
        self.dispatcher.execute(&command, ActorId::CLIENT, now())?;
        Ok(json!({"ok": true}))
    }
}

/// Reads a request; the error is for people who write no Rust.
fn understood(line: &[u8]) -> Result<Request, String> {
    const FORM: &str = "a request is an object with one key: ask, tell, report, best, pending or enqueue, such as {\"ask\":{\"count\":1}}";
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("it is not JSON: {error}"))?;
    let Some((key, inner)) = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next())
    else {
        return Err(FORM.to_owned());
    };
    if !["ask", "tell", "report", "best", "pending", "enqueue"].contains(&key.as_str()) {
        return Err(format!("there is no request `{key}`; {FORM}"));
    }
    if !inner.is_object() {
        return Err(format!("the value of `{key}` must be an object, such as {{}}"));
    }
    let key = key.clone();
    serde_json::from_value(value).map_err(|error| {
        let mut text = error.to_string();
        for (rust, plain) in [
            ("invalid type", "wrong type"),
            ("u32", "a whole number"),
            ("u64", "a whole number"),
            ("u16", "a whole number"),
            ("f64", "a number"),
            ("boolean", "truth value"),
            ("floating point", "number"),
            ("integer", "number"),
            ("string", "text"),
            ("sequence", "list"),
            ("a map", "an object"),
            ("map", "object"),
        ] {
            text = text.replace(rust, plain);
        }
        format!("`{key}`: {text}")
    })
}

fn push(answers: &mut Vec<u8>, answer: &Value) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *answers, answer);
    answers.push(b'\n');
}

fn refusal(code: Code, message: &str) -> Value {
    json!({"error": {"code": code.to_string(), "message": message}})
}

fn rejected(rejection: &Rejection) -> Value {
    let mut message = rejection.message.clone();
    for detail in &rejection.details {
        message.push_str(&format!("; `{}`: {}", detail.path, detail.message));
    }
    refusal(rejection.code, &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_object_with_one_key() {
        for right in
            [r#"{"ask":{"count":3}}"#, r#"{"ask":{}}"#, r#"{"tell":{"id":0,"value":0.5}}"#, r#"{"best":{}}"#]
        {
            assert!(understood(right.as_bytes()).is_ok(), "{right}");
        }
        for (wrong, said) in [
            (r#"{"tell":{"id":0,"vaule":0.5}}"#, "`tell`: unknown field `vaule`"),
            (r#"{"tell":{"value":0.5}}"#, "`tell`: missing field `id`"),
            (r#"{"tell":{"id":"a"}}"#, "`tell`: wrong type: text \"a\", expected a whole number"),
            (r#"{"report":{"id":0,"step":1,"value":"a"}}"#, "expected a number"),
            (r#"{"guess":{}}"#, "no request `guess`"),
            (r#"{"ask":3}"#, "`ask` must be an object"),
            ("3", "one key"),
            (r#"{"ask":{},"best":{}}"#, "one key"),
            (r#"{"ask":{}"#, "it is not JSON"),
        ] {
            let error = understood(wrong.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
            for rust in ["u32", "u64", "f64", "struct", "variant", "invalid type"] {
                assert!(!error.contains(rust), "{wrong}: {error}");
            }
        }
    }
}
