//! Real numbers as keys of ordered collections.

/// A whole number for each real one, in the same order. Minus zero is zero.
pub fn ascending(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
}

/// The inverse of [`ascending`].
pub fn number(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_their_numbers_and_give_them_back() {
        let numbers = [f64::MIN, -1.5, -f64::MIN_POSITIVE, -0.0, 5e-324, 0.25, 1.0, f64::MAX];
        for (a, x) in numbers.iter().enumerate() {
            assert_eq!(number(ascending(*x)), *x);
            for (b, y) in numbers.iter().enumerate() {
                assert_eq!(ascending(*x) < ascending(*y), a < b);
            }
        }
        assert_eq!(ascending(-0.0), ascending(0.0));
    }
}
