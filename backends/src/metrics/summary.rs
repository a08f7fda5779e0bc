//! Metrics in TensorBoard event files.
//!
//! A file is a sequence of `TFRecord`s: length, masked CRC32C of the length, data, masked CRC32C of the data. A
//! record whose end is not there yet is waited for; a damaged one ends the reading of its file.

use super::event_proto;
use super::report::finite;
use engine::event::v1::ReportPoint;
use std::collections::BTreeMap;

/// Larger records (images, audio) hold no scalars and are skipped without being kept.
const MAX_SCALAR_RECORD_BYTES: u64 = 1 << 20;
/// A longer record is a sign of damage.
const MAX_RECORD_BYTES: u64 = 1 << 32;
/// Steps that wait for their other metrics; beyond that the oldest is dropped.
const MAX_WAITING_STEPS: usize = 10_000;
/// Length and its checksum.
const HEAD: usize = 12;
/// Checksum of the data.
const FOOT: usize = 4;

/// Whether a file of a directory is one that TensorBoard would read.
pub fn is_event_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.contains("tfevents"))
}

/// Reads event files.
#[derive(Debug)]
pub(super) struct Summary {
    tags: Vec<String>,
    files: BTreeMap<String, EventFile>,
    /// Steps of which some metrics are known.
    waiting: BTreeMap<u64, Vec<Option<f64>>>,
}

#[derive(Debug, Default)]
struct EventFile {
    buffer: Vec<u8>,
    /// Bytes of a large record that are still to be passed over.
    skip: u64,
    damaged: bool,
}

impl Summary {
    /// A reader of the scalars with these tags.
    pub(super) fn new(tags: &[String]) -> Self {
        Self { tags: tags.to_vec(), files: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// Takes further bytes of a file. A step is reported once all tags are there.
    pub(super) fn feed(
        &mut self,
        path: &str,
        bytes: &[u8],
        points: &mut Vec<ReportPoint>,
    ) -> Result<(), String> {
        let file = self.files.entry(path.to_owned()).or_default();
        if file.damaged {
            return Ok(());
        }
        file.buffer.extend_from_slice(bytes);
        let mut records = Vec::new();
        let read = file.records(&mut records);
        for (step, scalars) in records {
            for scalar in scalars {
                if let Some(metric) = self.tags.iter().position(|tag| *tag == scalar.tag) {
                    self.take(step, metric, scalar.value, points);
                }
            }
        }
        read.map_err(|why| format!("{path} is damaged ({why}); what follows in it is not read"))
    }

    /// Part of a file was lost: where its next record begins is not known.
    pub(super) fn gap(&mut self, path: &str) {
        self.files.entry(path.to_owned()).or_default().damaged = true;
    }

    fn take(&mut self, step: u64, metric: usize, value: f64, points: &mut Vec<ReportPoint>) {
        let count = self.tags.len();
        let values = self.waiting.entry(step).or_insert_with(|| vec![None; count]);
        if let Some(slot) = values.get_mut(metric) {
            *slot = Some(value);
        }
        if values.iter().all(Option::is_some) {
            let values = values.iter().flatten().copied().collect();
            self.waiting.remove(&step);
            points.push(finite(step, values, false));
        } else if self.waiting.len() > MAX_WAITING_STEPS {
            self.waiting.pop_first();
        }
    }
}

impl EventFile {
    /// Takes the whole records out of the buffer.
    fn records(&mut self, out: &mut Vec<(u64, Vec<event_proto::Scalar>)>) -> Result<(), &'static str> {
        let mut at = 0;
        let result = loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            if self.skip > 0 {
                let now = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
                at += now;
                self.skip -= now as u64;
                if self.skip > 0 {
                    break Ok(());
                }
                continue;
            }
            match record(rest) {
                Ok(Some(Record::Data(data))) => {
                    // A record that is no event is as harmless as one without scalars.
                    out.extend(event_proto::event(data).ok().filter(|(_, scalars)| !scalars.is_empty()));
                    at += HEAD + data.len() + FOOT;
                }
                Ok(Some(Record::Large(length))) => self.skip = HEAD as u64 + length + FOOT as u64,
                Ok(None) => break Ok(()),
                Err(why) => {
                    self.damaged = true;
                    at = self.buffer.len();
                    break Err(why);
                }
            }
        };
        self.buffer.drain(..at);
        result
    }
}

enum Record<'a> {
    Data(&'a [u8]),
    Large(u64),
}

/// The record at the beginning, if all of it is there.
fn record(bytes: &[u8]) -> Result<Option<Record<'_>>, &'static str> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if masked(length) != u32::from_le_bytes(*sum) {
        return Err("a length does not match its checksum");
    }
    let length = u64::from_le_bytes(*length);
    if length > MAX_RECORD_BYTES {
        return Err("a record is too long");
    }
    if length > MAX_SCALAR_RECORD_BYTES {
        return Ok(Some(Record::Large(length)));
    }
    let length = usize::try_from(length).map_err(|_| "a record is too long")?;
    let Some((data, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let Some((sum, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if masked(data) == u32::from_le_bytes(*sum) {
        Ok(Some(Record::Data(data)))
    } else {
        Err("a record does not match its checksum")
    }
}

/// The checksum of the `TFRecord` format.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}
