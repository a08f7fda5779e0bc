//! The table of the native API's operations.

use super::{act, ask, audit, experiments, feed, jobs, labels, records, results, schema, service, trials};
use crate::http::access::Role;
use crate::http::operation::{Dialect, Kind, Operation, Param, Verb, handler};
use crate::metrics::MEDIA;

const WORDS_OF_STATUS: &[&str] = &[
    "CREATED",
    "RUNNING",
    "WAITING",
    "TERMINATING",
    "FINISHED",
    "FAILED",
    "EARLY_STOPPED",
    "USER_CANCELED",
    "SYS_CANCELED",
    "NO_MORE_TRIAL",
];
const WORDS_OF_TRIALS: &[&str] = &[
    "UNKNOWN",
    "WAITING",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "EARLY_STOPPED",
    "USER_CANCELED",
    "SYS_CANCELED",
];

const fn param(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, about }
}

const LIST: &[Param] = &[
    param("name", Kind::Text, "only those of this name"),
    param("status", Kind::Word(WORDS_OF_STATUS), "only those with this status"),
    param("creator", Kind::Text, "only those that this user created"),
    param("q", Kind::Text, "only those whose name or description contains this"),
    param("label", Kind::Text, "only those with this label, as NAME=VALUE"),
    param(
        "removed",
        Kind::Word(&["true", "false"]),
        "one's own removed ones as well, and to admins all; each is still to be had by its whole id",
    ),
    param("limit", Kind::Whole(1, 1_000), "most on a page; 50 if absent"),
    param("after", Kind::Text, "`next` of the page before"),
];
const TRIALS: &[Param] = &[
    param("status", Kind::Word(WORDS_OF_TRIALS), "only those with this status"),
    param("limit", Kind::Whole(1, 1_000), "most on a page; 100 if absent"),
    param("after", Kind::Whole(0, u32::MAX as u64), "`next` of the page before"),
];
const LOGS: &[Param] = &[
    param("stream", Kind::Word(&["stdout", "stderr"]), "what was written to; stdout if absent"),
    param("attempt", Kind::Whole(1, u32::MAX as u64), "the attempt; the last one if absent"),
    param("task", Kind::Whole(1, u16::MAX as u64), "the task; the first one if absent"),
    param("from", Kind::Whole(0, i64::MAX as u64), "the byte to begin with; `next` of the part before"),
    param(
        "limit",
        Kind::Whole(jobs::LEAST_LOG_BYTES, jobs::MAX_LOG_BYTES),
        "most bytes; the rest of a character that does not fit comes with the next part",
    ),
];
const EVENTS: &[Param] = &[param(
    "after",
    Kind::Place,
    "the record after which to begin, by its number as it is now or by its event's id; what happens from now on if absent. The header Last-Event-ID names an event's id and counts more",
)];
const RECORDS: &[Param] = &[
    param(
        "after",
        Kind::Whole(0, i64::MAX as u64),
        "the record after which to begin: `next` of the page before",
    ),
    param("limit", Kind::Whole(1, records::MAX_PAGE), "most on a page; 1,000 if absent"),
];
const IMPORTANCE: &[Param] = &[
    param(
        "method",
        Kind::Word(&["ped-anova", "fanova"]),
        "what set the best trials apart (if absent), or what explains the variance",
    ),
    param("top", Kind::Share, "the share of the trials that are the best (ped-anova; 0.1 if absent)"),
    param(
        "within",
        Kind::Share,
        "compare them with this best share of the trials instead of all (ped-anova)",
    ),
    param("space", Kind::Word(&["true", "false"]), "compare them with the whole search space (ped-anova)"),
    param("metric", Kind::Text, "what is explained: a metric of the objective instead of its value"),
];
const EXPORT: &[Param] = &[param("format", Kind::Word(&["csv", "json"]), "csv if absent")];
const AT: &[Param] = &[param("at", Kind::Text, "a record's number or a time (RFC 3339): as it then stood")];

const JSON: &str = "application/json";

macro_rules! operation {
    ($method:ident $path:literal $name:literal $needs:expr, $about:literal, $run:path $(, $field:ident: $value:expr)*) => {
        Operation {
            $($field: $value,)*
            ..Operation {
                method: Verb::$method,
                path: $path,
                name: $name,
                about: $about,
                needs: $needs,
                dialect: Dialect::Native,
                query: &[],
                body: None,
                answers: (200, Some(schema::object)),
                media: JSON,
                or_json: None,
                refusals: &[],
                run: handler!($run),
            }
        }
    };
}

const VIEWER: Option<Role> = Some(Role::Viewer);
const USER: Option<Role> = Some(Role::User);
const ADMIN: Option<Role> = Some(Role::Admin);

static OPERATIONS: &[Operation] = &[
    operation!(Get "/healthz" "health" None, "Whether the daemon lives", service::health),
    operation!(Get "/readyz" "ready" None, "Whether the engine answers", service::ready),
    operation!(Get "/metrics" "metrics" ADMIN, "Counts in the text format of Prometheus", service::metrics,
        answers: (200, None), media: MEDIA),
    operation!(Get "/v1/openapi.json" "openapi" None, "This document", service::document),
    operation!(Get "/v1/me" "me" VIEWER, "Who asks, and with which role", service::me),
    operation!(Get "/v1/limits" "limits" VIEWER, "How many trials run, how many may, and which experiments wait for their turn",
        service::limits),
    operation!(Get "/v1/experiments" "listExperiments" VIEWER, "Experiments, newest first", experiments::list,
        query: LIST, answers: (200, Some(schema::experiments))),
    operation!(Post "/v1/experiments" "createExperiment" USER,
        "Creates an experiment. With the header Idempotency-Key a repeated request gives the same one",
        experiments::create, body: Some(schema::creation), answers: (201, Some(schema::created)), refusals: &[200, 409, 422, 507]),
    operation!(Get "/v1/experiments/{experiment}" "getExperiment" VIEWER, "An experiment with its specification", experiments::show,
        query: AT, answers: (200, Some(schema::experiment)), refusals: &[404, 409]),
    operation!(Put "/v1/experiments/{experiment}" "updateExperiment" USER, "Replaces the specification where that is possible",
        experiments::update, body: Some(schema::update), answers: (200, Some(schema::standing)), refusals: &[404, 409, 422]),
    operation!(Post "/v1/experiments/{experiment}/labels" "labelExperiment" USER, "Sets labels, such as the one that says who sees it",
        labels::label, body: Some(schema::labels), answers: (200, Some(schema::standing)), refusals: &[404, 409]),
    operation!(Delete "/v1/experiments/{experiment}" "removeExperiment" USER, "Hides an ended experiment; its history stays", act::remove,
        refusals: &[404, 409]),
    operation!(Post "/v1/experiments/{experiment}/stop" "stopExperiment" USER, "Stops all trials and ends", act::stop,
        answers: (200, Some(schema::standing)), refusals: &[404, 409]),
    operation!(Post "/v1/experiments/{experiment}/pause" "pauseExperiment" USER, "Starts no further trials", act::pause,
        answers: (200, Some(schema::standing)), refusals: &[404, 409]),
    operation!(Post "/v1/experiments/{experiment}/resume" "resumeExperiment" USER, "Starts trials again", act::resume,
        answers: (200, Some(schema::standing)), refusals: &[404, 409]),
    operation!(Post "/v1/experiments/{experiment}/clone" "cloneExperiment" USER, "Creates another one with the same specification", act::clone,
        body: Some(schema::naming), answers: (201, Some(schema::created)), refusals: &[404, 409, 422, 507]),
    operation!(Post "/v1/experiments/{experiment}/clean" "cleanExperiment" USER,
        "Removes what the trials of an ended experiment left at the backend, as `clean` in its file says", act::clean,
        body: Some(schema::clean), answers: (200, Some(schema::cleaned)), refusals: &[404, 409, 422]),
    operation!(Post "/v1/experiments/{experiment}/queue" "enqueuePoint" USER, "Tries this point next", act::enqueue,
        body: Some(schema::point), answers: (200, Some(schema::standing)), refusals: &[404, 409, 422]),
    operation!(Get "/v1/experiments/{experiment}/best" "getBest" VIEWER, "The best trial, or the front of several objectives", experiments::best,
        refusals: &[404]),
    operation!(Get "/v1/experiments/{experiment}/trials" "listTrials" VIEWER, "Trials in their order", trials::list,
        query: TRIALS, answers: (200, Some(schema::trials)), refusals: &[404]),
    operation!(Post "/v1/experiments/{experiment}/trials/stop" "stopTrials" USER, "Stops single trials", act::stop_trials,
        body: Some(schema::numbers), answers: (200, Some(schema::standing)), refusals: &[404, 409]),
    operation!(Post "/v1/experiments/{experiment}/trials/retry" "retryTrials" USER, "Tries the points of ended trials again", act::retry_trials,
        body: Some(schema::numbers), answers: (200, Some(schema::standing)), refusals: &[404, 409]),
    operation!(Get "/v1/experiments/{experiment}/trials/{trial}" "getTrial" VIEWER, "A trial with its reports and attempts", trials::show,
        refusals: &[404]),
    operation!(Get "/v1/experiments/{experiment}/trials/{trial}/logs" "readLog" VIEWER, "A part of what a trial's task has written", jobs::logs,
        query: LOGS, answers: (200, Some(schema::log)), refusals: &[404, 502]),
    operation!(Post "/v1/experiments/{experiment}/ask" "ask" USER, "Gives trials to a worker, for as long as its lease lasts", ask::ask,
        body: Some(schema::asking), answers: (200, Some(schema::given)), refusals: &[404, 409, 422]),
    operation!(Post "/v1/experiments/{experiment}/trials/{trial}/tell" "tell" USER, "Takes a trial's result", ask::tell,
        body: Some(schema::telling), refusals: &[404, 409, 422]),
    operation!(Post "/v1/experiments/{experiment}/trials/{trial}/report" "report" USER,
        "Takes a value of a running trial and says whether it is worth going on", ask::report,
        body: Some(schema::reporting), answers: (200, Some(schema::decision)), refusals: &[404, 409, 422]),
    operation!(Post "/v1/experiments/{experiment}/trials/{trial}/renew" "renew" USER, "Makes a lease last longer", ask::renew,
        body: Some(schema::renewing), refusals: &[404, 409, 422]),
    operation!(Get "/v1/experiments/{experiment}/events" "followExperiment" VIEWER, "Its events, as server-sent events", feed::one,
        query: EVENTS, answers: (200, None), media: "text/event-stream", refusals: &[404, 409]),
    operation!(Get "/v1/events" "followAll" VIEWER, "All events that one may see, as server-sent events", feed::all,
        query: EVENTS, answers: (200, None), media: "text/event-stream", refusals: &[409]),
    operation!(Get "/v1/experiments/{experiment}/records" "readRecords" VIEWER,
        "Its records as the journal holds them, in base64, without a gap", records::records,
        query: RECORDS, answers: (200, Some(schema::records)), refusals: &[404]),
    operation!(Get "/v1/experiments/{experiment}/importance" "getImportance" VIEWER, "Which parameters mattered", results::importance,
        query: IMPORTANCE, answers: (200, Some(schema::importance)), refusals: &[404, 409, 422]),
    operation!(Get "/v1/experiments/{experiment}/export" "export" VIEWER, "All trials, as a table or as JSON", results::export,
        query: EXPORT, answers: (200, None), media: results::CSV, or_json: Some(schema::object), refusals: &[404]),
    operation!(Get "/v1/experiments/{experiment}/resample" "resample" VIEWER,
        "Computes every suggestion again and compares the bits; one at a time", audit::resample,
        answers: (200, Some(schema::resampled)), refusals: &[404]),
    operation!(Post "/v1/audit/verify" "verify" ADMIN, "Checks the whole history; one at a time", audit::verify,
        answers: (200, Some(schema::verified))),
    operation!(Post "/v1/check" "check" USER, "Tells every mistake of an experiment, or that there is none; creates nothing", audit::check,
        body: Some(schema::check), answers: (200, Some(schema::checked)), refusals: &[422]),
    operation!(Post "/v1/bulk" "bulk" USER, "Does the same to many experiments; each has its own result", act::bulk,
        body: Some(schema::bulk)),
];

/// The operations of the native API.
pub fn operations() -> &'static [Operation] {
    OPERATIONS
}
