//! Text on a terminal: how wide it is, and how it is kept from moving the cursor. Everything that draws measures here.

/// What stands for the rest of a text.
pub const ELLIPSIS: char = '…';

/// Columns of a letter: none for marks that combine, two for the wide letters of East Asia and for pictures.
pub fn of(letter: char) -> usize {
    match u32::from(letter) {
        0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfeff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

/// Columns of a text; escape sequences of colours count as nothing.
pub fn width(text: &str) -> usize {
    let mut escape = false;
    let mut columns = 0;
    for letter in text.chars() {
        match (escape, letter) {
            (true, 'm') => escape = false,
            (true, _) => {}
            (false, '\x1b') => escape = true,
            (false, letter) => columns += of(letter),
        }
    }
    columns
}

/// Nothing that moves the cursor or changes colours.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// At most so many columns of a line; where something is left out, the last of them is an ellipsis. Escape sequences of
/// colours are all kept.
pub fn clip(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let room = columns.saturating_sub(1);
    let (mut out, mut seen) = (String::new(), 0);
    let (mut escape, mut cut) = (false, false);
    for letter in line.chars() {
        if escape || letter == '\x1b' {
            escape = letter != 'm';
            out.push(letter);
        } else if !cut {
            seen += of(letter);
            cut = seen > room;
            if !cut {
                out.push(letter);
            } else if columns > 0 {
                out.push(ELLIPSIS);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_line_has_no_more_columns_than_it_may_and_keeps_its_colours() {
        for (line, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("\x1b[1mabcd\x1b[0m", 3, "\x1b[1mab…\x1b[0m"),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ] {
            let clipped = clip(line, columns);
            assert_eq!(clipped, expected);
            assert!(width(&clipped) <= columns);
        }
    }
}
