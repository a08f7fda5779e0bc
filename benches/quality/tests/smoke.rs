//! The benchmark as people run it: a short run, its rows, its table, its pictures, and a problem served by lines.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn quality(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quality")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The rows of a file without what depends on the machine.
fn rows(file: &str) -> Vec<String> {
    let cut = |line: &str| line.split("\"cpu_us\"").next().unwrap().to_owned();
    fs::read_to_string(file).unwrap().lines().map(cut).collect()
}

#[test]
fn a_short_run_ends_in_a_table_can_be_repeated_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (first, second) = (path("first.jsonl"), path("second.jsonl"));
    let run = |out: &str| {
        let given = ["run", "--samplers", "random,tpe", "--problems", "branin,categorical", "--trials", "15"];
        quality(&[&given[..], &["--seeds", "2", "--out", out]].concat())
    };
    let table = text(&run(&first));
    assert!(table.contains("after 15 trials, 4 problems") && table.contains("| tpe | 0."), "{table}");
    assert_eq!(rows(&first).len(), 2 * 4 * 2);
    // What is there is not run again; anew it is the same.
    assert_eq!(text(&run(&first)), table);
    assert_eq!(rows(&first).len(), 2 * 4 * 2);
    text(&run(&second));
    assert_eq!(rows(&first), rows(&second));
    let renamed = format!("old={second}");
    let pairs = text(&quality(&["table", &first, &renamed, "--trials", "15", "--against", "tpe"]));
    assert!(pairs.contains("| old:tpe | 8 | +0.00 [+0.00, +0.00] |"), "{pairs}");
    text(&quality(&["plot", &first, "--trials", "15", "--out", folder.path().to_str().unwrap()]));
    for name in ["regret.svg", "cost.svg"] {
        let picture = fs::read_to_string(path(name)).unwrap();
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"), "{name}");
        assert!(picture.matches("<polyline").count() >= 2, "{name}");
    }
}

#[test]
fn a_problem_is_offered_by_lines() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quality"))
        .args(["problem", "branin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let requests = "{\"params\": {\"x0\": 0, \"x1\": 0}}\n{\"params\": {\"x0\": 77, \"x1\": 0}}\n\
                    {\"params\": {\"x0\": 0, \"x1\": 0}, \"seed\": 1, \"trial\": 2}\n";
    child.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
    let lines = text(&child.wait_with_output().unwrap());
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["space"]["x0"]["uniform"][1], 10.0);
    // The formula by hand: (0 - 6)^2 + 10 (1 - 1 / 8 pi) + 10.
    assert!((lines[1]["value"].as_f64().unwrap() - 55.602_112_642).abs() < 1e-8, "{}", lines[1]);
    assert!(lines[2]["error"].as_str().unwrap().contains("x0"), "{}", lines[2]);
    assert_eq!(lines[3]["value"], lines[1]["value"]);
    assert!(lines[3]["took"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_does_not_exist_is_named() {
    let output = quality(&["run", "--problems", "brainin"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("brainin: see `quality list`"));
}
