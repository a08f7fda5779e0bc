//! The Python client, tested by its own tests, with the tools that it leads to and from and with this program.
//!
//! Needs a Python that has the client and what `clients/python/tests/requirements.txt` lists, named by
//! `RETRIAL_CLIENT_PYTHON`. Without it the test is skipped, loudly; `RETRIAL_NO_SKIP=1` makes that a failure.

use std::path::Path;
use std::process::Command;

#[test]
fn the_python_client_passes_its_tests() {
    let Some(python) = std::env::var_os("RETRIAL_CLIENT_PYTHON") else {
        let text = "SKIPPED: the Python client; RETRIAL_CLIENT_PYTHON names no Python";
        assert!(std::env::var("RETRIAL_NO_SKIP").is_err(), "{text}");
        println!("{text}");
        return;
    };
    // Neither settings of whoever runs the test, nor proxies, which some clients use even for this machine.
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy().to_lowercase();
        if name.ends_with("_proxy") || name.starts_with("retrial_") || name.starts_with("python") {
            command.env_remove(&variable);
        }
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python/tests");
    command.args(["-m", "unittest", "discover", "--verbose", "--start-directory"]).arg(tests);
    command.current_dir(home.path()).env("HOME", home.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    // Whoever names a Python wants all of it.
    command.env("RETRIAL_PROGRAM", env!("CARGO_BIN_EXE_retrial")).env("RETRIAL_NO_SKIP", "1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    println!("{text}");
}
