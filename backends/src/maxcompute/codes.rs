//! The error numbers of MaxCompute, E0550 to E0569. Each has a page in `docs/errors/`; a number is never reused.

use engine::error::Code;

/// A command cannot be read, or not as one task.
pub const BAD_COMMAND: Code = Code(550);
/// A setting of MaxCompute cannot be used.
pub const BAD_SETTING: Code = Code(551);
/// A table, column or partition does not exist.
pub const NO_TABLE: Code = Code(552);
/// The SQL is not correct.
pub const BAD_SQL: Code = Code(553);
/// The project does not exist here.
pub const NO_PROJECT: Code = Code(554);
/// The quota is used up, or there is none.
pub const NO_QUOTA: Code = Code(555);
/// A query has not given one usable number.
pub const NO_NUMBER: Code = Code(556);
/// The service failed by itself.
pub const SERVICE_FAILED: Code = Code(557);
/// The user's own code in the task failed.
pub const SCRIPT_FAILED: Code = Code(558);
/// A task failed for another reason.
pub const TASK_FAILED: Code = Code(559);

/// Every code of MaxCompute with its title, in order.
pub const ALL: &[(Code, &str)] = &[
    (BAD_COMMAND, "a MaxCompute command cannot be read"),
    (BAD_SETTING, "a setting of MaxCompute cannot be used"),
    (NO_TABLE, "a table, column or partition does not exist"),
    (BAD_SQL, "the SQL is not correct"),
    (NO_PROJECT, "the project is not known at this endpoint"),
    (NO_QUOTA, "the quota of MaxCompute is used up"),
    (NO_NUMBER, "a query has not given one usable number"),
    (SERVICE_FAILED, "MaxCompute failed by itself"),
    (SCRIPT_FAILED, "code of the task's own failed in MaxCompute"),
    (TASK_FAILED, "a MaxCompute task failed"),
];
