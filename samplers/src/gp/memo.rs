//! What a suggestion remembers of the model: so that the next one, also after a crash, begins where it ended.

use super::fit::Theta;

/// The layout described by [`encode`].
const VERSION: u8 = 1;

/// The model's parameters, and from how many observations they were found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Memo {
    pub(super) observations: u32,
    pub(super) theta: Theta,
}

impl Memo {
    /// A memo of these parameters, rounded as they will be read again.
    pub(super) fn new(observations: u32, mut theta: Theta) -> Self {
        for value in &mut theta.values {
            *value = f64::from(*value as f32);
        }
        Self { observations, theta }
    }

    /// A version byte, the number of observations, then the parameters as 32-bit numbers, little-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.observations.to_le_bytes());
        for value in &self.theta.values {
            out.extend_from_slice(&(*value as f32).to_le_bytes());
        }
        out
    }

    /// The memo of a model with one of these numbers of parameters; `None` if the bytes are of something else.
    pub(super) fn decode(bytes: &[u8], parameters: usize) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (observations, rest) = rest.split_first_chunk::<4>()?;
        let (values, []) = rest.as_chunks::<4>() else { return None };
        let values: Vec<f64> = values.iter().map(|v| f64::from(f32::from_le_bytes(*v))).collect();
        let fits = *version == VERSION && values.len() == parameters && values.iter().all(|v| v.is_finite());
        fits.then(|| Self { observations: u32::from_le_bytes(*observations), theta: Theta { values } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_is_read_as_it_was_written() {
        let memo = Memo::new(70_000, Theta { values: vec![0.1, -3.7, 1e-9] });
        assert_eq!(Memo::decode(&memo.encode(), 3), Some(memo.clone()));
        assert_eq!(Memo::decode(&memo.encode(), 4), None);
        assert_eq!(Memo::decode(&[], 0), None);
        assert_eq!(Memo::decode(&[VERSION, 1, 2, 3], 0), None);
    }
}
