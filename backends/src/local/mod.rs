//! Tasks as processes of this machine.
//!
//! Each task runs under a small supervisor: the same program, executed again as `__supervise DIR`, in a session of
//! its own, so that the task survives the program that asked for it. Read [`LocalBackend`] first, then the
//! supervisor in `supervise.rs`, then the claim in `claim.rs` which makes "at most one start" true.
//!
//! Files, below the directory that [`LocalBackend::new`] is given:
//!
//! ```text
//! <experiment>/<trial>/<attempt>/       one attempt
//!     params.json                       RETRIAL_PARAMS
//!     report.jsonl                      RETRIAL_REPORT, written by the task
//!     checkpoint/                       RETRIAL_CHECKPOINT_DIR
//!     work/                             working directory of the tasks, unless `workdir` names another
//!     task-<task>.<incarnation>/        one start of one task
//!         order.json                    what the supervisor is to do
//!         claim                         who may start it; then its start and its end, one JSON line each
//!         stop                          there once somebody asked for the end
//!         stdout-<offset>, stderr-...   what it wrote; the number is the position of the file's first byte
//! ```
//!
//! What is durable, and why no more: the claim's directory entry is synced before the task is started, so that
//! after a power failure a task that may have run is known to have run; at the end the logs and the report file
//! are synced, and then the outcome, so that an outcome is never kept without the reports that belong to it. The
//! order needs no sync (the journal has it), and neither has the start (after a power failure the task is gone
//! anyway). A task that writes nothing costs two syncs. One sync of the claim's directory is enough for the
//! directories above it on file systems that log metadata in order (ext4, XFS, btrfs).

mod backend;
mod claim;
mod config;
mod jobs;
mod layout;
mod log;
mod plan;
mod prepare;
mod process;
mod reason;
mod signals;
mod supervise;

pub use backend::LocalBackend;
pub use config::{check_config, check_surroundings};
pub use supervise::{SUPERVISE, supervise, supervise_if_asked, supervisor_command};
