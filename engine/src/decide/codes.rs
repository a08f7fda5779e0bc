//! Numbers of refusals; each has a page in `docs/errors/`.

use crate::error::Code;

/// There is no such experiment.
pub const UNKNOWN_EXPERIMENT: Code = Code(400);
/// There is no such trial.
pub const UNKNOWN_TRIAL: Code = Code(401);
/// The experiment has ended or is ending.
pub const EXPERIMENT_ENDED: Code = Code(402);
/// The experiment has not ended yet.
pub const EXPERIMENT_RUNNING: Code = Code(403);
/// The experiment is in the asked state already.
pub const NO_CHANGE: Code = Code(404);
/// The trial has ended.
pub const TRIAL_ENDED: Code = Code(405);
/// The point is outside the search space.
pub const OUTSIDE_SPACE: Code = Code(406);
/// The value is not a finite number.
pub const NOT_FINITE: Code = Code(407);
/// The budget of trials is used up.
pub const BUDGET_USED: Code = Code(408);
/// The queue is full.
pub const QUEUE_FULL: Code = Code(409);
/// The specification was refused.
pub const INVALID_SPEC: Code = Code(410);
/// The change of a specification is not allowed.
pub const FIXED_PART: Code = Code(411);
/// The trial is not run by a client.
pub const NOT_BY_CLIENT: Code = Code(412);
/// A trial with this point has succeeded.
pub const SUCCEEDED_BEFORE: Code = Code(413);
/// The experiment exists already.
pub const EXPERIMENT_EXISTS: Code = Code(414);
/// The sampler was asked for another trial.
pub const STALE_SUGGESTION: Code = Code(415);
/// The sampler wants to remember too much.
pub const MEMO_TOO_LARGE: Code = Code(416);
/// The name of a label cannot be used.
pub const LABEL_NAME: Code = Code(417);
/// An experiment would have too many labels.
pub const TOO_MANY_LABELS: Code = Code(418);
/// A label's value, or all labels together, are too large.
pub const LABELS_TOO_LARGE: Code = Code(419);
/// Another client has taken the trial over.
pub const FENCED: Code = Code(420);
/// The name of a worker or of its request is too long.
pub const HOLDER_TOO_LONG: Code = Code(421);
/// A trial would start outside of the experiment's schedule.
pub const OUTSIDE_SCHEDULE: Code = Code(422);
