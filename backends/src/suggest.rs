//! The nearest known word, for messages about misspelt keys.

/// The known word that is most likely meant, if any is near enough.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(far, candidate)| *far <= 1 + candidate.chars().count() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The cure that goes with an unknown key.
pub(crate) fn cure(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Insertions, removals and replacements of characters between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |from: &[usize], place: usize| from.get(place).copied().unwrap_or(usize::MAX - 1);
            let best = (at(&row, j) + usize::from(x != *y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            next.push(best);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_none() {
        let known = ["workdir", "gpus", "gpus_per_trial"];
        assert_eq!(nearest("wrokdir", &known), Some("workdir"));
        assert_eq!(nearest("gpu", &known), Some("gpus"));
        assert_eq!(nearest("elephant", &known), None);
    }
}
