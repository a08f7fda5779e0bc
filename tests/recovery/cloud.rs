//! The program as it runs against a simulated cloud.

use super::support::{Lab, Running};
use std::process::Command;

/// Starts the program with the keys that simulators know and with fewer pauses than services want.
pub fn start(lab: &Lab, poll_seconds: &str, args: &[&str]) -> Running {
    Running::begin(lab, command(lab, poll_seconds, args))
}

/// The command of [`start`].
pub fn command(lab: &Lab, poll_seconds: &str, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    command.env("RETRIAL_POLL_SECONDS", poll_seconds).env("RETRIAL_CALLS_PER_SECOND", "2000");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAISimulatedKey");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "simulated-secret");
    command
}
