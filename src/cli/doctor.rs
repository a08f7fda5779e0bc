//! `doctor`: is this machine fit, and what does it cost to be durable here?

use super::args::Common;
use super::output;
use crate::error::{Failure, exit};
use crate::views::figures;
use backends::cloud::credentials::{Choice, Surroundings, survey};
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Synced appends of the probe.
const PROBES: usize = 50;
/// Bytes of one append of the probe.
const PROBE_BYTES: usize = 300;

struct Finding {
    what: &'static str,
    ok: bool,
    text: String,
}

/// Checks this machine.
pub fn run(common: &Common) -> Result<u8, Failure> {
    let mut findings = vec![disk(&common.store), room(&common.store), clock(), shell()];
    findings.push(store(&common.store));
    findings.push(Finding { what: "backends", ok: true, text: backends::registry::AVAILABLE.join(", ") });
    findings.push(credentials());
    let ok = findings.iter().all(|finding| finding.ok);
    if common.json {
        let list: Vec<_> = findings
            .iter()
            .map(|finding| json!({"check": finding.what, "ok": finding.ok, "finding": finding.text}))
            .collect();
        output::json(&json!({"ok": ok, "version": env!("CARGO_PKG_VERSION"), "checks": list}))?;
    } else {
        output::line(&format!("retrial {}", env!("CARGO_PKG_VERSION")))?;
        for finding in &findings {
            let mark = if finding.ok { "ok  " } else { "BAD " };
            output::line(&format!("{mark} {:<11} {}", finding.what, finding.text))?;
        }
    }
    Ok(if ok { exit::DONE } else { exit::FAILED })
}

/// The folder that exists now and will hold the store.
fn ground(store: &Path) -> &Path {
    let mut place = store;
    while !place.exists() {
        match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => place = parent,
            _ => return Path::new("."),
        }
    }
    place
}

fn disk(store: &Path) -> Finding {
    let place = ground(store).join(format!(".retrial-probe-{}", std::process::id()));
    let result = probe(&place);
    let _ = fs::remove_file(&place);
    match result {
        Ok(times) => {
            let at = |share: f64| {
                times.get(((times.len() - 1) as f64 * share) as usize).copied().unwrap_or_default()
            };
            let (median, worst) = (at(0.5), at(0.99));
            let rate = 1.0 / median.as_secs_f64().max(1e-9);
            // Devices that answer within a few microseconds have not written anything.
            let volatile = median < Duration::from_micros(5);
            let doubt = if volatile { "; so fast that it may not reach the device (tmpfs?)" } else { "" };
            Finding {
                what: "disk",
                ok: true,
                text: format!(
                    "fdatasync of {PROBE_BYTES} bytes: median {:.2} ms, 99 % {:.2} ms: about {rate:.0} commits/s{doubt}",
                    median.as_secs_f64() * 1e3,
                    worst.as_secs_f64() * 1e3
                ),
            }
        }
        Err(error) => Finding {
            what: "disk",
            ok: false,
            text: format!("cannot write in {}: {error}", ground(store).display()),
        },
    }
}

fn probe(place: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = File::create(place)?;
    let bytes = [b'.'; PROBE_BYTES];
    let mut times = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let began = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times)
}

fn room(store: &Path) -> Finding {
    match nix::sys::statvfs::statvfs(ground(store)) {
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let mib = free / (1 << 20);
            Finding { what: "room", ok: mib > 256, text: format!("{mib} MiB free for the store") }
        }
        Err(error) => Finding { what: "room", ok: false, text: format!("not known: {error}") },
    }
}

fn clock() -> Finding {
    let now = crate::runtime::shell::now();
    // 2024-01-01: earlier than this program.
    let ok = now.0 > 1_704_067_200_000;
    Finding {
        what: "clock",
        ok,
        text: if ok {
            figures::time(now)
        } else {
            format!("{} cannot be right: set the clock", figures::time(now))
        },
    }
}

fn shell() -> Finding {
    let ok =
        std::process::Command::new("sh").args(["-c", "exit 0"]).status().is_ok_and(|status| status.success());
    let text = if ok { "sh runs" } else { "`sh` does not run: give commands as lists of words" };
    Finding { what: "shell", ok, text: text.to_owned() }
}

/// Which credentials a cloud would get, without asking anybody for them. Whoever runs everything here needs none, so
/// nothing that is missing makes this machine unfit.
fn credentials() -> Finding {
    let clock = Arc::new(crate::runtime::shell::now);
    // Chance is for requests, and none is made.
    let surroundings = Surroundings::new(std::env::vars_os(), std::env::home_dir(), clock, Arc::new(|| 0));
    let mut words: Vec<String> = Vec::new();
    match survey(&Choice::Chain, &surroundings) {
        Ok(found) => {
            if found.candidates.is_empty() {
                words.push("none, which only clouds need".to_owned());
            } else {
                let names: Vec<String> = found.candidates.iter().map(ToString::to_string).collect();
                words.push(names.join("; else "));
            }
            words.extend(found.warnings.into_iter().map(|warning| format!("warning: {warning}")));
        }
        Err(error) => words.push(format!("for clouds, none that can be used: {error}")),
    }
    Finding { what: "credentials", ok: true, text: words.join("; ") }
}

fn store(store: &Path) -> Finding {
    if !journal::is_store(store) {
        return Finding { what: "store", ok: true, text: format!("none yet in {}", store.display()) };
    }
    match super::store::Follower::open(store) {
        Ok(follower) => Finding {
            what: "store",
            ok: true,
            text: format!(
                "{}: {} records, {} experiments",
                store.display(),
                follower.state.head(),
                follower.state.experiments().count()
            ),
        },
        Err(failure) => Finding { what: "store", ok: false, text: failure.message },
    }
}
