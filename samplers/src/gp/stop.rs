//! When a search is no longer worth its trials: once the improvement that the model expects of the best next trial has stayed below what
//! a person would go on for. Read [`Worth`].
//!
//! The idea is that of A. Makarova and others, "Automatic termination for hyperparameter optimization", `AutoML` 2022. The measure here is
//! the expected improvement itself, in the unit of the value, since a bound on all that is possible stays far above it in more
//! than a few dimensions. One small expectation may be an accident of the fit, so it must stay small
//! while some more trials end.

/// The first byte of a memo that says what was expected.
const MARK: u8 = 2;
/// Bytes before those of the model's own memo.
const HEAD: usize = 1 + 4 + 8;
/// So many more trials must end with a value while the expectation stays small.
const CALM: usize = 10;
/// Trials with a value before an end is thought of, and how many more by parameter.
const LEAST: (usize, usize) = (20, 2);

/// Whether further trials are worth it.
#[derive(Debug)]
pub(super) struct Worth {
    /// The improvement that is worth a trial.
    gain: f64,
    least: usize,
    /// How many trials had a value when the expectation became smaller than that, unless it has been larger since.
    calm_since: Option<usize>,
}

impl Worth {
    pub(super) fn new(gain: f64, parameters: usize) -> Self {
        let (least, more) = LEAST;
        Self { gain, least: least + more * parameters, calm_since: None }
    }

    /// Takes the memo of a trial in, and gives that part of it which is the model's.
    pub(super) fn suggested<'a>(&mut self, memo: &'a [u8]) -> &'a [u8] {
        let Some((head, rest)) = memo.split_first_chunk::<HEAD>() else { return memo };
        let [MARK, a, b, c, d, expected @ ..] = *head else { return memo };
        if f64::from_le_bytes(expected) < self.gain {
            let informed = u32::from_le_bytes([a, b, c, d]) as usize;
            self.calm_since = Some(self.calm_since.unwrap_or(informed));
        } else {
            self.calm_since = None;
        }
        rest
    }

    /// The memo of a trial: the mark, how many trials have a value, the expectation, and the model's own part.
    pub(super) fn memo(expected: f64, informed: usize, own: &[u8]) -> Vec<u8> {
        let mut memo = vec![MARK];
        memo.extend_from_slice(&u32::try_from(informed).unwrap_or(u32::MAX).to_le_bytes());
        memo.extend_from_slice(&expected.to_le_bytes());
        memo.extend_from_slice(own);
        memo
    }

    /// Whether the search is over, if so much is expected now that so many trials have a value.
    pub(super) fn is_over(&self, expected: f64, informed: usize) -> bool {
        let calm = self.calm_since.is_some_and(|since| informed >= since + CALM);
        expected < self.gain && informed >= self.least && calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_calm_that_lasts_ends_the_search() {
        let mut worth = Worth::new(0.1, 3);
        for (informed, expected) in [(30, 0.2), (31, 0.01), (35, 0.2), (36, 0.05), (40, 0.02)] {
            assert!(!worth.is_over(expected, informed));
            let memo = Worth::memo(expected, informed, &[7, 8]);
            assert_eq!(worth.suggested(&memo), [7, 8]);
        }
        // What others have proposed says nothing.
        assert_eq!(worth.suggested(&[1, 2, 3]), [1, 2, 3]);
        assert!(!worth.is_over(0.02, 45));
        assert!(!worth.is_over(0.2, 46));
        assert!(worth.is_over(0.02, 46));
    }
}
