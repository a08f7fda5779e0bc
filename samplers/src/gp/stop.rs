//! When a search is no longer worth its trials: once the improvement that the model expects of the best next trial has stayed below what
//! a person would go on for. Read [`Worth`].
//!
//! The idea is that of A. Makarova and others, "Automatic termination for hyperparameter optimization", `AutoML` 2022. The measure here is
//! the expected improvement itself, in the unit of the value, since a bound on all that is possible stays far above it in more
//! than a few dimensions. One small expectation may be an accident of the fit, so it must stay small while many more trials end, and
//! none of these may improve by as much: that would show that the model expects too little.

/// The first byte of a memo that says what was expected.
const MARK: u8 = 2;
/// Bytes before those of the model's own memo.
const HEAD: usize = 1 + 4 + 8;
/// So many more trials must end with a value while the expectation stays small, or such a share of all, if that is more.
const CALM: (usize, f64) = (15, 0.25);
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
    /// The best loss after so many trials had a value.
    bests: Vec<f64>,
}

impl Worth {
    pub(super) fn new(gain: f64, parameters: usize) -> Self {
        let (least, more) = LEAST;
        Self { gain, least: least + more * parameters, calm_since: None, bests: Vec::new() }
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

    /// Takes in the best loss, now that a further trial has a value.
    pub(super) fn ended(&mut self, best: f64) {
        self.bests.push(best);
    }

    /// Whether the search is over, if so much is expected now.
    pub(super) fn is_over(&self, expected: f64) -> bool {
        let informed = self.bests.len();
        let Some(since) = self.calm_since.filter(|_| expected < self.gain && informed >= self.least) else {
            return false;
        };
        // From when on what was found is less than what was to be gained.
        let best = self.bests.last().copied().unwrap_or_default();
        let after = |count: usize| self.bests.get(count.saturating_sub(1)).copied().unwrap_or_default();
        let still = (since..informed).find(|count| after(*count) - best < self.gain);
        let (least, share) = CALM;
        let calm = least.max((share * informed as f64) as usize);
        still.is_some_and(|still| informed >= still + calm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trials that end with such a best loss, each suggested with such an expectation.
    fn steps(worth: &mut Worth, count: u32, best: f64, expected: f64) {
        for _ in 0..count {
            let memo = Worth::memo(expected, worth.bests.len(), &[7, 8]);
            assert_eq!(worth.suggested(&memo), [7, 8]);
            worth.ended(best);
        }
    }

    #[test]
    fn only_a_calm_that_lasts_ends_the_search() {
        let mut worth = Worth::new(0.1, 3);
        steps(&mut worth, 40, 5.0, 0.2);
        assert!(!worth.is_over(0.01));
        steps(&mut worth, 10, 5.0, 0.01);
        steps(&mut worth, 1, 5.0, 0.2);
        steps(&mut worth, 15, 5.0, 0.01);
        assert!(!worth.is_over(0.01));
        // What others have proposed says nothing.
        assert_eq!(worth.suggested(&[1, 2, 3]), [1, 2, 3]);
        steps(&mut worth, 3, 5.0, 0.01);
        assert!(worth.is_over(0.01) && !worth.is_over(0.2));
    }

    #[test]
    fn an_improvement_that_was_not_expected_begins_the_calm_anew() {
        let mut worth = Worth::new(0.1, 3);
        steps(&mut worth, 30, 5.0, 0.01);
        assert!(worth.is_over(0.01));
        steps(&mut worth, 10, 4.0, 0.01);
        assert!(!worth.is_over(0.01));
        steps(&mut worth, 6, 3.95, 0.01);
        assert!(worth.is_over(0.01));
    }
}
