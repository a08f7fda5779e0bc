//! `secret`: what experiments name and never hold. A value comes from standard input only: an argument would be seen by
//! every process of the machine, and stay in the shell's history.

use super::args::{Common, Secrets};
use super::output;
use crate::error::{Failure, exit};
use crate::secrets::{PREFIX, Vault};
use crate::views::figures;
use backends::cloud::secret::Secret;
use engine::time::Timestamp;
use serde_json::json;
use std::io::{IsTerminal, Read};

/// Bytes that are read at most: more than any secret may have.
const MOST_BYTES: u64 = 1 << 20;

/// `secret`
pub fn run(common: &Common, asked: &Secrets) -> Result<u8, Failure> {
    let vault = Vault::of(&common.store);
    match asked {
        Secrets::Set { name } => {
            let name = bare(name);
            vault.set(name, &read()?)?;
            done(common, name, "kept; experiments name it")?;
        }
        Secrets::Rm { name } => {
            let name = bare(name);
            vault.remove(name)?;
            done(common, name, "removed; what names it finds it no more:")?;
        }
        Secrets::Ls => list(common, &vault)?,
    }
    Ok(exit::DONE)
}

/// The name, also where it is given as an experiment writes it.
fn bare(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn done(common: &Common, name: &str, what: &str) -> Result<(), Failure> {
    if common.json {
        output::json(&json!({"ok": true, "name": name}))?;
    } else {
        output::line(&format!("{what} `{PREFIX}{name}`"))?;
    }
    Ok(())
}

fn list(common: &Common, vault: &Vault) -> Result<(), Failure> {
    let kept = vault.list()?;
    if common.json {
        let listed: Vec<_> = kept.iter().map(|kept| json!({"name": kept.name, "set_ms": kept.set})).collect();
        output::json(&json!(listed))?;
        return Ok(());
    }
    for kept in kept {
        output::line(&format!("{}  {PREFIX}{}", figures::time(Timestamp(kept.set)), kept.name))?;
    }
    Ok(())
}

/// A secret from standard input, without the end of its line.
fn read() -> Result<Secret<String>, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        // What is typed would be seen.
        let cure = "write it into a file that only you may read, then `retrial secret set NAME < FILE`";
        return Err(Failure::new(exit::USAGE, "a secret is not typed into a terminal", cure));
    }
    let mut text = String::new();
    stdin.lock().take(MOST_BYTES).read_to_string(&mut text)?;
    let whole = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(whole.strip_suffix('\r').unwrap_or(whole).to_owned()))
}
