//! Looks at a regular expression without compiling it.

/// The number of capturing groups: opening parentheses that are neither escaped nor in a character class, except
/// `(?:...)`, flags and the like; `(?P<name>...)` and `(?<name>...)` capture.
pub(super) fn count_groups(pattern: &str) -> usize {
    let mut groups = 0;
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
                    groups += 1;
                } else {
                    chars.next_if_eq(&'P');
                    // `(?<=` and `(?<!` look behind; `(?<name>` captures.
                    if chars.next_if_eq(&'<').is_some() && !matches!(chars.peek(), Some('=' | '!')) {
                        groups += 1;
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
            assert_eq!(count_groups(pattern), groups, "{pattern}");
        }
    }
}
