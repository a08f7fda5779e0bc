//! Looks at a regular expression without compiling it.

/// The name of the group around the number, where a pattern has others besides.
pub const VALUE_GROUP: &str = "value";
/// The name of a group around the step.
pub const STEP_GROUP: &str = "step";

/// How many of a pattern's groups may hold the number, by their names: one if one is named `value`; otherwise all but
/// the one named `step`.
pub fn value_groups<'a>(names: impl Iterator<Item = Option<&'a str>>) -> usize {
    let names: Vec<Option<&str>> = names.collect();
    if names.contains(&Some(VALUE_GROUP)) {
        return 1;
    }
    names.iter().filter(|name| **name != Some(STEP_GROUP)).count()
}

/// The names of the capturing groups: opening parentheses that are neither escaped nor in a character class, except
/// `(?:...)`, flags and the like; `(?P<name>...)` and `(?<name>...)` capture.
pub(super) fn groups(pattern: &str) -> Vec<Option<String>> {
    let mut groups = Vec::new();
    let mut classes = 0_usize;
    let mut chars = pattern.chars().peekable();
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let at_start = std::mem::take(&mut class_start);
        match c {
            '\\' => {
                chars.next();
            }
            '[' => {
                classes += 1;
                chars.next_if_eq(&'^');
                class_start = true;
            }
            // Right after the bracket, `]` is itself a member of the class.
            ']' if classes > 0 && !at_start => classes -= 1,
            '(' if classes == 0 => {
                if chars.next_if_eq(&'?').is_none() {
                    groups.push(None);
                } else {
                    chars.next_if_eq(&'P');
                    // `(?<=` and `(?<!` look behind; `(?<name>` captures.
                    if chars.next_if_eq(&'<').is_some() && !matches!(chars.peek(), Some('=' | '!')) {
                        groups.push(Some(chars.by_ref().take_while(|c| *c != '>').collect()));
                    }
                }
            }
            _ => {}
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_capturing_groups_count() {
        for (pattern, groups) in [
            ("", 0),
            ("accuracy=([0-9.]+)", 1),
            (r"\(a\) (b)", 1),
            ("[(](a)[)]", 1),
            ("[](](a)", 1),
            ("[^](](a)", 1),
            ("(?:a|b)", 0),
            ("(?i)(a)", 1),
            ("(?P<x>a)(?<y>b)", 2),
            ("(?<=a)b", 0),
            ("((a)b)", 2),
            (r"loss=([0-9\.]+)", 1),
            ("[[:digit:](]+(a)", 1),
        ] {
            assert_eq!(super::groups(pattern).len(), groups, "{pattern}");
        }
    }
    #[test]
    fn one_group_is_for_the_number() {
        for (pattern, count) in [
            ("accuracy=([0-9.]+)", 1),
            (r"epoch (?P<step>\d+): accuracy=([0-9.]+)", 1),
            (r"epoch (?<step>\d+): (loss|error)=(?<value>[0-9.]+)", 1),
            (r"(?P<step>\d+)", 0),
            ("(a)=([0-9.]+)", 2),
        ] {
            let groups = groups(pattern);
            assert_eq!(value_groups(groups.iter().map(Option::as_deref)), count, "{pattern}");
        }
    }
}
