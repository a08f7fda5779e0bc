//! Bytes cut into lines.

/// Bytes of a line that are looked at; what follows in the same line is left out.
pub(super) const MAX_METRIC_LINE_BYTES: usize = 65_536;

/// Collects bytes until a line is whole. A carriage return ends a line as well: progress bars use it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes and hands out the lines that are whole, without their ends. Empty lines are left out.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let mut pieces = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(first) = pieces.next() else { return };
        self.push(first);
        for piece in pieces {
            self.end(&mut each);
            self.push(piece);
        }
    }

    /// Hands out the last line, if it has no end.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        self.end(&mut each);
    }

    /// Forgets a line that was begun: bytes between it and what comes next were lost.
    pub(super) fn forget(&mut self) {
        self.partial.clear();
    }

    fn push(&mut self, piece: &[u8]) {
        let room = MAX_METRIC_LINE_BYTES - self.partial.len();
        self.partial.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn end(&mut self, each: &mut impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            each(&self.partial);
            self.partial.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], size: usize) -> Vec<Vec<u8>> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in text.chunks(size) {
            lines.feed(piece, |line| out.push(line.to_vec()));
        }
        lines.finish(|line| out.push(line.to_vec()));
        out
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_are_cut() {
        let mut text = b"one\r\ntwo\n\n\xff\xfe three\rfour\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 2 * MAX_METRIC_LINE_BYTES));
        text.extend_from_slice(b"\nlast");
        let whole = cut(&text, text.len());
        assert_eq!(whole.len(), 6);
        assert_eq!(whole[4].len(), MAX_METRIC_LINE_BYTES);
        assert_eq!(whole[5], b"last");
        for size in [1, 2, 3, 7, 65_535, 65_536] {
            assert_eq!(cut(&text, size), whole, "pieces of {size}");
        }
    }
}
