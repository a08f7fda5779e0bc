//! Numbers, lengths of time and moments for people.

/// A number with about six significant digits, for people.
pub fn number(value: f64) -> String {
    if value == 0.0 || (value.abs() >= 1e-4 && value.abs() < 1e7) {
        let digits = if value == 0.0 { 1 } else { 5 - value.abs().log10().floor() as i32 };
        let text = format!("{value:.*}", usize::try_from(digits.clamp(0, 9)).unwrap_or(0));
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.4e}")
    }
}

/// So many of something.
pub fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A length of time for people.
pub fn duration(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms}ms"),
        1_000..=59_999 => format!("{:.1}s", ms as f64 / 1e3),
        60_000..=3_599_999 => format!("{}m{:02}s", ms / 60_000, ms / 1_000 % 60),
        _ => format!("{}h{:02}m", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// A moment in RFC 3339, UTC.
pub fn time(at: engine::time::Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |time| format!("{time:.0}"))
}
