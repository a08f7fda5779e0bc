//! One quantile of a changing set of losses.

use crate::math::order::{ascending, number};
use std::collections::BTreeSet;

type Entry = (u64, u32);

/// Whose losses are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// All in the set: the one who asks is not in it.
    All,
    /// All but the one who asks.
    Others,
}

/// Which loss of a sorted set, smallest first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rank {
    /// Of `n` losses the one at index `floor(n * share)`.
    Share(f64),
    /// The last of the best `n / factor`, rounded down but at least one.
    Top(u64),
    /// At this share of the way from the first to the last, between two losses if need be (as `numpy.percentile`);
    /// only for [`Peers::All`].
    Between(f64),
}

impl Rank {
    /// The index among `n` losses, and how far it is on the way to the next.
    fn place(self, n: usize) -> (usize, f64) {
        let last = n.saturating_sub(1);
        match self {
            Self::Share(share) => (((n as f64 * share) as usize).min(last), 0.0),
            Self::Top(factor) => ((n / factor.max(1) as usize).saturating_sub(1), 0.0),
            Self::Between(share) => {
                let place = last as f64 * share;
                (place as usize, place - place.floor())
            }
        }
    }
}

/// The loss at a fixed rank of a changing set. Two halves are kept, so that inserting, removing and asking cost the
/// logarithm of their number.
#[derive(Debug)]
pub(crate) struct Quantile {
    rank: Rank,
    peers: Peers,
    low: BTreeSet<Entry>,
    high: BTreeSet<Entry>,
}

impl Quantile {
    pub(crate) fn new(rank: Rank, peers: Peers) -> Self {
        Self { rank, peers, low: BTreeSet::new(), high: BTreeSet::new() }
    }

    pub(crate) fn insert(&mut self, trial: u32, loss: f64) {
        let entry = (ascending(loss), trial);
        if self.low.last().is_some_and(|last| entry < *last) {
            self.low.insert(entry);
        } else {
            self.high.insert(entry);
        }
        self.balance();
    }

    pub(crate) fn remove(&mut self, trial: u32, loss: f64) {
        let entry = (ascending(loss), trial);
        if !self.low.remove(&entry) {
            self.high.remove(&entry);
        }
        self.balance();
    }

    /// How many losses there are.
    pub(crate) fn len(&self) -> usize {
        self.low.len() + self.high.len()
    }

    fn place(&self) -> (usize, f64) {
        let all = self.len();
        self.rank.place(if self.peers == Peers::Others { all.saturating_sub(1) } else { all })
    }

    fn balance(&mut self) {
        let (wanted, _) = self.place();
        while self.low.len() > wanted {
            self.high.extend(self.low.pop_last());
        }
        while self.low.len() < wanted {
            self.low.extend(self.high.pop_first());
        }
    }

    /// The quantile for a trial, whose own loss is `own` if it is in the set; none without peers.
    pub(crate) fn value(&self, own: Option<(u32, f64)>) -> Option<f64> {
        let own = own.filter(|_| self.peers == Peers::Others).map(|(trial, loss)| (ascending(loss), trial));
        let mut high = self.high.iter();
        let first = high.next()?;
        let entry = match own {
            // Without the one who asks, everything behind moves up.
            Some(own) if own <= *first => high.next()?,
            _ => first,
        };
        let loss = number(entry.0);
        match self.place() {
            (_, 0.0) => Some(loss),
            (_, way) => Some(high.next().map_or(loss, |next| loss + way * (number(next.0) - loss))),
        }
    }
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
            let (mut all, mut others) = (
                Quantile::new(Rank::Share(share), Peers::All),
                Quantile::new(Rank::Share(share), Peers::Others),
            );
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

    #[test]
    fn the_last_of_the_best_part_is_found_and_a_place_between_two_losses() {
        let mut top = Quantile::new(Rank::Top(3), Peers::All);
        let mut quarter = Quantile::new(Rank::Between(0.25), Peers::All);
        // numpy.percentile([5, 4, 3, 2, 1, 0][:n], 25)
        let expected = [(5.0, 5.0), (4.0, 4.25), (3.0, 3.5), (2.0, 2.75), (1.0, 2.0), (1.0, 1.25)];
        for (trial, (best, between)) in (0..).zip(expected) {
            top.insert(trial, 5.0 - f64::from(trial));
            quarter.insert(trial, 5.0 - f64::from(trial));
            assert_eq!((top.value(None), quarter.value(None)), (Some(best), Some(between)), "{trial}");
        }
    }
}
