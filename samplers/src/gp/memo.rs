//! What a suggestion remembers of the model: so that the next one, also after a crash, begins where it ended.

use super::fit::Theta;

/// The layout described by [`encode`].
const VERSION: u8 = 1;

/// The parameters of all models, and from how many observations they were found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Memo {
    pub(super) observations: u32,
    pub(super) thetas: Vec<Theta>,
}

impl Memo {
    /// A memo of these parameters, rounded as they will be read again.
    pub(super) fn new(observations: u32, mut thetas: Vec<Theta>) -> Self {
        for value in thetas.iter_mut().flat_map(|theta| &mut theta.values) {
            *value = f64::from(*value as f32);
        }
        Self { observations, thetas }
    }

    /// A version byte, the number of observations, then the parameters of one model after the other as 32-bit numbers, little-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.observations.to_le_bytes());
        for value in self.thetas.iter().flat_map(|theta| &theta.values) {
            out.extend_from_slice(&(*value as f32).to_le_bytes());
        }
        out
    }

    /// The memo of so many models with so many parameters each; `None` if the bytes are of something else.
    pub(super) fn decode(bytes: &[u8], models: usize, parameters: usize) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (observations, rest) = rest.split_first_chunk::<4>()?;
        let (values, []) = rest.as_chunks::<4>() else { return None };
        let values: Vec<f64> = values.iter().map(|v| f64::from(f32::from_le_bytes(*v))).collect();
        let fits = *version == VERSION
            && values.len() == models * parameters
            && values.iter().all(|v| v.is_finite());
        let thetas =
            || values.chunks(parameters.max(1)).map(|values| Theta { values: values.to_vec() }).collect();
        fits.then(|| Self { observations: u32::from_le_bytes(*observations), thetas: thetas() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_is_read_as_it_was_written() {
        let thetas = vec![Theta { values: vec![0.1, -3.7, 1e-9] }, Theta { values: vec![2.0, 0.0, -1.5] }];
        let memo = Memo::new(70_000, thetas);
        assert_eq!(Memo::decode(&memo.encode(), 2, 3), Some(memo.clone()));
        assert_eq!(Memo::decode(&memo.encode(), 1, 3), None);
        assert_eq!(Memo::decode(&[], 1, 0), None);
        assert_eq!(Memo::decode(&[VERSION, 1, 2, 3], 1, 0), None);
    }
}
