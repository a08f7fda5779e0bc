//! The file `FORMAT`: which layout the store has and which kinds of events its journal may hold.
//!
//! The kinds let a program know at once, without reading the history, that a newer one has written: it may then read
//! and export, but not append. A kind is listed before the first record of it is written.

use crate::error::JournalError;
use crate::files;
use engine::event::READABLE;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const NAME: &str = "FORMAT";
const TITLE: &str = "retrial-store";
/// The layout of the store's directory that this program knows.
pub(crate) const LAYOUT: u32 = 1;

/// A kind and a version of its payload.
type Kind = (u16, u8);

/// The content of the file.
pub(crate) struct Format {
    path: PathBuf,
    listed: BTreeSet<Kind>,
    /// What is listed and unknown to this program.
    unknown: Option<Kind>,
}

fn known() -> BTreeSet<Kind> {
    READABLE.iter().copied().collect()
}

fn render(listed: &BTreeSet<Kind>) -> String {
    let kinds: Vec<String> = listed.iter().map(|(kind, version)| format!("{kind}.{version}")).collect();
    let body = format!("{TITLE} {LAYOUT}\nkinds {}\n", kinds.join(" "));
    let check = crc32c::crc32c(body.as_bytes());
    format!("{body}check {check:08x}\n")
}

/// The layout and the kinds; `None` if the text is damaged. Every layout to come begins with the same title and ends
/// with the same check line.
fn parse(text: &str) -> Option<(u32, BTreeSet<Kind>)> {
    let (body, check) = text.strip_suffix('\n')?.rsplit_once("check ")?;
    if u32::from_str_radix(check, 16).ok()? != crc32c::crc32c(body.as_bytes()) {
        return None;
    }
    let mut lines = body.lines();
    let layout = lines.next()?.strip_prefix(TITLE)?.trim().parse().ok()?;
    let kinds = lines.next().and_then(|l| l.strip_prefix("kinds ")).unwrap_or_default();
    let listed = kinds.split_whitespace().filter_map(|k| {
        let (kind, version) = k.split_once('.')?;
        Some((kind.parse().ok()?, version.parse().ok()?))
    });
    Some((layout, listed.collect()))
}

/// Refuses a store that is laid out in a way that this program does not know; anything else is fine here.
pub(crate) fn check_layout(store: &Path) -> Result<(), JournalError> {
    let Some(bytes) = files::read(&store.join(NAME))? else { return Ok(()) };
    match parse(&String::from_utf8_lossy(&bytes)) {
        Some((layout, _)) if layout > LAYOUT => Err(JournalError::Newer {
            reason: format!("{} has layout {layout}, this program knows {LAYOUT}", store.display()),
        }),
        _ => Ok(()),
    }
}

impl Format {
    /// Reads or creates the file; tells in words if it had to be mended.
    pub(crate) fn open(store: &Path, fresh: bool) -> Result<(Self, Option<String>), JournalError> {
        check_layout(store)?;
        let path = store.join(NAME);
        let parsed = files::read(&path)?.and_then(|bytes| parse(&String::from_utf8_lossy(&bytes)));
        let mended = (parsed.is_none() && !fresh)
            .then(|| "the file FORMAT was missing or damaged; written anew".to_owned());
        let missing = parsed.is_none();
        let listed = parsed.map_or_else(known, |(_, listed)| listed);
        let unknown = listed.difference(&known()).next().copied();
        if missing {
            files::replace(&path, &[render(&listed).as_bytes()])?;
        }
        Ok((Self { path, listed, unknown }, mended))
    }

    /// Whether this program may append.
    pub(crate) fn may_append(&self) -> Result<(), JournalError> {
        self.unknown.map_or(Ok(()), |(kind, version)| {
            Err(JournalError::Newer {
                reason: format!(
                    "the journal may hold events of kind {kind} version {version}, unknown to this program; \
                     it can be read and exported, not appended to"
                ),
            })
        })
    }

    /// Lists a kind before its first record is written.
    pub(crate) fn announce(&mut self, kind: u16, version: u8) -> Result<(), JournalError> {
        if self.listed.insert((kind, version)) {
            files::replace(&self.path, &[render(&self.listed).as_bytes()])?;
        }
        Ok(())
    }
}
