//! Official clients, which are Python, run against a simulator.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

/// The Python that a variable names, which has the client. Without it the test is skipped, loudly;
/// `RETRIAL_NO_SKIP=1` makes that a failure.
pub fn python(variable: &str, what: &str) -> Option<OsString> {
    let python = std::env::var_os(variable);
    if python.is_none() {
        let text = format!("SKIPPED: {what} against the simulator; {variable} names no Python");
        assert!(std::env::var("RETRIAL_NO_SKIP").is_err(), "{text}");
        println!("{text}");
    }
    python
}

/// Runs a program of `official_sdk`, which must be content. It finds no settings of whoever runs the test.
pub fn run(python: &OsStr, program: &str, arguments: &[&OsStr]) {
    let home = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("official_sdk").join(program);
    let mut command = Command::new(python);
    command.arg(program).args(arguments).env("HOME", home.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    // The clients take proxies of the environment even for addresses of this machine.
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    println!("{text}");
}
