//! Names: which ones a parameter can have, and which one was meant by a misspelt one.

use super::codes;
use crate::error::SpecError;

/// Names that mean something else in `${...}` or in the form of the space.
const RESERVED: [&str; 7] = ["exp_id", "trial_id", "attempt", "spec_dir", "_name", "_type", "_value"];

/// The name of a key: the text inside `${...}`, or the key itself.
pub(crate) fn name_of(key: &str) -> &str {
    key.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(key)
}

/// A path one step further.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What is wrong with a parameter's name (one segment of it).
pub(super) fn check_name(name: &str, path: &str) -> Result<(), SpecError> {
    if name.is_empty() {
        return Err(SpecError::key(codes::BAD_NAME, path, "the parameter has no name", "give it a name"));
    }
    if RESERVED.contains(&name) {
        let message = format!("`{name}` cannot be the name of a parameter: it has a meaning of its own");
        return Err(SpecError::key(codes::RESERVED_NAME, path, message, "choose another name"));
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '$' | '{' | '}' | '.');
    if let Some(c) = name.chars().find(|c| bad(*c)) {
        let message = format!("the name `{name}` contains {c:?}");
        let cure = "leave out spaces, control characters, `$`, `{`, `}` and `.`";
        return Err(SpecError::key(codes::BAD_NAME, path, message, cure));
    }
    Ok(())
}

/// The candidate that was probably meant, if one is near enough.
pub(crate) fn meant<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long texts are not misspelt names, and the distance costs the product of the lengths.
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance: insertions, deletions, substitutions, and swaps of neighbours (restricted
/// Damerau-Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (row, x) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        let mut left = row + 1;
        let mut previous = None;
        for (column, y) in b.iter().copied().enumerate() {
            let get = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut cost =
                (get(&above, column) + usize::from(x != y)).min(get(&above, column + 1) + 1).min(left + 1);
            if column > 0 && last == Some(y) && previous == Some(x) {
                cost = cost.min(get(&before, column - 1).saturating_add(1));
            }
            current.push(cost);
            left = cost;
            previous = Some(y);
        }
        before = std::mem::replace(&mut above, current);
        last = Some(x);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits_and_swaps() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("uniform", "unifrom", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let types = ["uniform", "loguniform", "choice"];
        assert_eq!(meant("log_uniform", types), Some("loguniform"));
        assert_eq!(meant("Choise", types), Some("choice"));
        assert_eq!(meant("temperature", types), None);
    }

    #[test]
    fn a_placeholder_is_stripped_once() {
        assert_eq!(name_of("${lr}"), "lr");
        assert_eq!(name_of("lr"), "lr");
        assert_eq!(name_of("${lr"), "${lr");
    }
}
