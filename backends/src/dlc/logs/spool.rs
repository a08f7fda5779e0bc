//! A text that grows at its end and is forgotten at its beginning, with positions that never change their meaning.

use engine::ports::backend::Chunk;
use std::collections::VecDeque;

/// Bytes in a segment, except that a line is never divided.
const SEGMENT_BYTES: usize = 1 << 16;

/// Text by absolute position. Where lines are missing, positions are missing: a reader sees that a chunk begins later
/// than it asked for.
#[derive(Debug)]
pub struct Spool {
    bound: usize,
    kept: usize,
    end: u64,
    /// Before this position somebody has said to need nothing.
    released: u64,
    /// Position of the first byte, and the bytes.
    segments: VecDeque<(u64, Vec<u8>)>,
}

impl Spool {
    /// An empty text of which about the newest `bound` bytes are kept.
    pub fn new(bound: usize) -> Self {
        Self { bound, kept: 0, end: 0, released: 0, segments: VecDeque::new() }
    }

    /// The position behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The position before which text may have been forgotten because nobody needs it.
    pub fn released(&self) -> u64 {
        self.released
    }

    /// Forgets whole segments before a position.
    pub fn release(&mut self, position: u64) {
        while let Some((start, bytes)) = self.segments.front() {
            let behind = start + bytes.len() as u64;
            if behind > position {
                break;
            }
            self.released = behind;
            self.kept -= self.segments.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
    }

    /// Adds a line; its end is added too.
    pub fn line(&mut self, text: &str) {
        let follows = |(start, bytes): &(u64, Vec<u8>)| {
            bytes.len() < SEGMENT_BYTES && start + bytes.len() as u64 == self.end
        };
        if !self.segments.back().is_some_and(follows) {
            self.segments.push_back((self.end, Vec::new()));
        }
        if let Some((_, bytes)) = self.segments.back_mut() {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b'\n');
        }
        self.end += text.len() as u64 + 1;
        self.kept += text.len() + 1;
        while self.kept > self.bound && self.segments.len() > 1 {
            self.kept -= self.segments.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
    }

    /// Marks that lines are missing here.
    pub fn gap(&mut self) {
        self.end += 1;
    }

    /// At most `limit` bytes from a position, or from the next that is kept. `at_end` says that there is no more here.
    pub fn chunk(&self, from: u64, limit: usize) -> Chunk {
        for (start, bytes) in &self.segments {
            let behind = start + bytes.len() as u64;
            if behind > from {
                let begin = from.max(*start);
                let skipped = usize::try_from(begin - start).unwrap_or(usize::MAX);
                let bytes: Vec<u8> = bytes.iter().skip(skipped).take(limit).copied().collect();
                let at_end = begin + bytes.len() as u64 == self.end;
                return Chunk { bytes, start: begin, at_end };
            }
        }
        Chunk { bytes: Vec::new(), start: from.max(self.end), at_end: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_released_is_forgotten_by_whole_segments() {
        let mut spool = Spool::new(1 << 30);
        let line = "x".repeat(SEGMENT_BYTES);
        for _ in 0..3 {
            spool.line(&line);
        }
        let length = line.len() as u64 + 1;
        spool.release(length + 5);
        assert_eq!((spool.released(), spool.kept, spool.end()), (length, 2 * (line.len() + 1), 3 * length));
        assert_eq!(spool.chunk(length + 5, 3).bytes, b"xxx");
        spool.release(3 * length);
        assert_eq!((spool.released(), spool.kept), (3 * length, 0));
        assert!(spool.chunk(3 * length, 3).at_end);
    }

    /// Reads all, and says where something was missing.
    fn all(spool: &Spool, limit: usize) -> (String, Vec<u64>) {
        let (mut from, mut text, mut gaps) = (0, Vec::new(), Vec::new());
        loop {
            let chunk = spool.chunk(from, limit);
            gaps.extend((chunk.start > from).then_some(from));
            from = chunk.start + chunk.bytes.len() as u64;
            text.extend(chunk.bytes);
            if chunk.at_end {
                return (String::from_utf8(text).unwrap(), gaps);
            }
        }
    }

    #[test]
    fn a_gap_is_seen_where_it_is_whatever_the_pieces() {
        let mut spool = Spool::new(1000);
        spool.line("one");
        spool.gap();
        spool.line("two");
        spool.gap();
        for limit in [1, 2, 100] {
            assert_eq!(all(&spool, limit), ("one\ntwo\n".to_owned(), vec![4, 9]));
        }
        assert_eq!(spool.end(), 10);
    }

    #[test]
    fn the_oldest_is_forgotten_and_positions_stay() {
        let mut spool = Spool::new(SEGMENT_BYTES * 2);
        let mut lines: Vec<String> = Vec::new();
        for number in 0..50_000 {
            lines.push(format!("line {number}"));
            spool.line(&lines[number]);
        }
        let whole = lines.join("\n") + "\n";
        assert_eq!(spool.end(), whole.len() as u64);
        let (text, gaps) = all(&spool, 999);
        assert_eq!(gaps, [0]);
        assert!(text.len() > SEGMENT_BYTES && text.len() <= SEGMENT_BYTES * 2 && whole.ends_with(&text));
        let beyond = spool.chunk(spool.end() + 5, 10);
        assert_eq!((beyond.start, beyond.bytes.len(), beyond.at_end), (spool.end() + 5, 0, true));
    }
}
