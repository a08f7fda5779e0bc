//! One quantile of a changing set of losses.

use std::collections::BTreeSet;

type Entry = (u64, u32);

/// Whose losses are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peers {
    /// All in the set: the one who asks is not in it.
    All,
    /// All but the one who asks.
    Others,
}

/// The loss at a fixed share of a sorted set, smallest first: of `n` losses the one at index `floor(n * share)`. Two
/// halves are kept, so that inserting, removing and asking cost the logarithm of their number.
#[derive(Debug)]
pub(super) struct Quantile {
    share: f64,
    peers: Peers,
    low: BTreeSet<Entry>,
    high: BTreeSet<Entry>,
}

impl Quantile {
    pub(super) fn new(share: f64, peers: Peers) -> Self {
        Self { share, peers, low: BTreeSet::new(), high: BTreeSet::new() }
    }

    pub(super) fn insert(&mut self, trial: u32, loss: f64) {
        let entry = (ascending(loss), trial);
        if self.low.last().is_some_and(|last| entry < *last) {
            self.low.insert(entry);
        } else {
            self.high.insert(entry);
        }
        self.balance();
    }

    pub(super) fn remove(&mut self, trial: u32, loss: f64) {
        let entry = (ascending(loss), trial);
        if !self.low.remove(&entry) {
            self.high.remove(&entry);
        }
        self.balance();
    }

    fn balance(&mut self) {
        let all = self.low.len() + self.high.len();
        let n = if self.peers == Peers::Others { all.saturating_sub(1) } else { all };
        let wanted = ((n as f64 * self.share) as usize).min(n.saturating_sub(1));
        while self.low.len() > wanted {
            self.high.extend(self.low.pop_last());
        }
        while self.low.len() < wanted {
            self.low.extend(self.high.pop_first());
        }
    }

    /// The quantile for a trial, whose own loss is `own` if it is in the set; none without peers.
    pub(super) fn value(&self, own: Option<(u32, f64)>) -> Option<f64> {
        let own = own.filter(|_| self.peers == Peers::Others).map(|(trial, loss)| (ascending(loss), trial));
        let mut high = self.high.iter();
        let first = high.next()?;
        let entry = match own {
            // Without the one who asks, everything behind moves up.
            Some(own) if own <= *first => high.next()?,
            _ => first,
        };
        Some(number(entry.0))
    }
}

/// Whole numbers in the order of the reals.
fn ascending(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
}

/// The inverse of [`ascending`].
fn number(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Purpose, Stream};
    use engine::id::TrialId;

    #[test]
    fn it_agrees_with_sorting() {
        let mut stream = Stream::new(1, TrialId(0), Purpose::Other, 0);
        for share in [0.0, 0.3, 0.5, 1.0] {
            let mut losses: Vec<f64> = Vec::new();
            let (mut all, mut others) =
                (Quantile::new(share, Peers::All), Quantile::new(share, Peers::Others));
            for trial in 0..60u32 {
                let loss = (stream.uniform() * 10.0).floor() - 5.0;
                all.insert(trial, loss);
                others.insert(trial, loss);
                losses.push(loss);
                let pick = |mut list: Vec<f64>| {
                    list.sort_by(f64::total_cmp);
                    let n = list.len();
                    list.get(((n as f64 * share) as usize).min(n.saturating_sub(1))).copied()
                };
                assert_eq!(all.value(None), pick(losses.clone()));
                for own in 0..losses.len() {
                    let mut rest = losses.clone();
                    let mine = rest.remove(own);
                    assert_eq!(
                        others.value(Some((own as u32, mine))),
                        pick(rest),
                        "{share} {losses:?} {own}"
                    );
                }
            }
            for trial in 0..60u32 {
                all.remove(trial, losses[trial as usize]);
            }
            assert_eq!(all.value(None), None);
        }
    }
}
