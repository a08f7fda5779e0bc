//! Triangular matrices: Cholesky factors that grow row by row, and what is solved with them. Read [`Lower`].
//!
//! The factor of a matrix is computed row after row (Banachiewicz), so that a further row appended to it gives the same
//! bits as factoring the larger matrix from the start. Rows are contiguous; sums run in eight lanes in a fixed
//! order, which the compiler may hold in vector registers without changing a bit.

/// The sum of products, as far as both go.
#[inline]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let both = a.len().min(b.len());
    let (a, b) = (a.get(..both).unwrap_or_default(), b.get(..both).unwrap_or_default());
    let mut lanes = [0.0f64; 8];
    let (head_a, tail_a) = a.as_chunks::<8>();
    let (head_b, tail_b) = b.as_chunks::<8>();
    for (x, y) in head_a.iter().zip(head_b) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let mut sum = ((a + e) + (b + f)) + ((c + g) + (d + h));
    for (x, y) in tail_a.iter().zip(tail_b) {
        sum += x * y;
    }
    sum
}

/// `target += factor * source`.
#[inline]
pub fn add_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    for (slot, x) in target.iter_mut().zip(source) {
        *slot += factor * x;
    }
}

/// A lower triangular matrix: row `i` has `i + 1` entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lower {
    rows: usize,
    entries: Vec<f64>,
}

impl Lower {
    /// A matrix without rows.
    pub const fn new() -> Self {
        Self { rows: 0, entries: Vec::new() }
    }

    /// Makes it a matrix of zeros, in the room that it has.
    pub fn reset(&mut self, rows: usize) {
        self.rows = rows;
        self.entries.clear();
        self.entries.resize(rows * (rows + 1) / 2, 0.0);
    }

    /// The number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// A row: its entries up to and with the diagonal.
    #[inline]
    pub fn row(&self, i: usize) -> &[f64] {
        let start = i * (i + 1) / 2;
        self.entries.get(start..=start + i).unwrap_or_default()
    }

    /// A row, to be written.
    #[inline]
    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        let start = i * (i + 1) / 2;
        self.entries.get_mut(start..=start + i).unwrap_or_default()
    }

    /// An entry on the diagonal.
    #[inline]
    pub fn diagonal(&self, i: usize) -> f64 {
        self.row(i).last().copied().unwrap_or_default()
    }

    /// Forgets all but the first rows.
    pub fn truncate(&mut self, rows: usize) {
        if rows < self.rows {
            self.rows = rows;
            self.entries.truncate(rows * (rows + 1) / 2);
        }
    }

    /// Takes this matrix as a Cholesky factor and adds the row of a larger matrix, given as the covariances with all rows
    /// so far and, last, the variance. Where rounding leaves less than `least` of the variance, `least` is taken.
    pub fn push_factored(&mut self, covariances: &[f64], least: f64) {
        let n = self.rows;
        let start = self.entries.len();
        self.entries.extend(covariances.iter().take(n + 1));
        let (done, row) = self.entries.split_at_mut(start);
        let mut at = 0;
        let mut used = 0.0;
        for i in 0..n {
            let factors = done.get(at..=at + i).unwrap_or_default();
            at += i + 1;
            let (before, rest) = row.split_at_mut(i);
            if let (Some(slot), Some((pivot, factors))) = (rest.first_mut(), factors.split_last()) {
                *slot = (*slot - dot(factors, before)) / pivot;
                used += *slot * *slot;
            }
        }
        if let Some(last) = row.last_mut() {
            let rest = *last - used;
            *last = if rest > least { rest } else { least }.sqrt();
        }
        self.rows += 1;
    }

    /// Writes the Cholesky factor of the symmetric matrix of which this is the lower half; for `least` see
    /// [`Self::push_factored`].
    pub fn factor_into(&self, least: f64, factor: &mut Self) {
        factor.truncate(0);
        for i in 0..self.rows {
            factor.push_factored(self.row(i), least);
        }
    }

    /// Solves `L x = b` in place.
    pub fn solve(&self, b: &mut [f64]) {
        for i in 0..self.rows.min(b.len()) {
            let row = self.row(i);
            let (before, rest) = b.split_at_mut(i);
            if let (Some(slot), Some((pivot, row))) = (rest.first_mut(), row.split_last()) {
                *slot = (*slot - dot(row, before)) / pivot;
            }
        }
    }

    /// Solves `L' x = b` in place.
    pub fn solve_transposed(&self, b: &mut [f64]) {
        for i in (0..self.rows.min(b.len())).rev() {
            let (before, rest) = b.split_at_mut(i);
            if let (Some(slot), Some((pivot, row))) = (rest.first_mut(), self.row(i).split_last()) {
                *slot /= pivot;
                add_scaled(before, -*slot, row);
            }
        }
    }

    /// Writes the inverse.
    pub fn inverse_into(&self, inverse: &mut Self) {
        inverse.reset(self.rows);
        for i in 0..self.rows {
            let Some((pivot, factors)) = self.row(i).split_last() else { continue };
            // Rows before `i` are done; row `i` starts behind them.
            let (done, rest) = inverse.entries.split_at_mut(i * (i + 1) / 2);
            let row = rest.get_mut(..=i).unwrap_or_default();
            let mut start = 0;
            for (k, factor) in factors.iter().enumerate() {
                add_scaled(row, -factor, done.get(start..=start + k).unwrap_or_default());
                start += k + 1;
            }
            for slot in row.iter_mut() {
                *slot /= pivot;
            }
            if let Some(last) = row.last_mut() {
                *last = 1.0 / pivot;
            }
        }
    }

    /// With this as the inverse `M` of a Cholesky factor: writes the lower half of `M' M`, the inverse of what was
    /// factored.
    pub fn square_into(&self, product: &mut Self) {
        product.reset(self.rows);
        for i in 0..self.rows {
            let row = self.row(i);
            for (j, factor) in row.iter().enumerate() {
                add_scaled(product.row_mut(j), *factor, row);
            }
        }
    }

    /// The sum of the logarithms of the diagonal.
    pub fn log_diagonal(&self) -> f64 {
        (0..self.rows).map(|i| libm::log(self.diagonal(i))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A positive definite matrix.
    fn sample(n: usize) -> Lower {
        let mut matrix = Lower::new();
        matrix.reset(n);
        for i in 0..n {
            for (j, slot) in matrix.row_mut(i).iter_mut().enumerate() {
                let gap = (i as f64 - j as f64) * 0.3;
                *slot = libm::exp(-gap * gap) + if i == j { 0.1 } else { 0.0 };
            }
        }
        matrix
    }

    fn factored(n: usize) -> Lower {
        let mut factor = Lower::new();
        sample(n).factor_into(1e-12, &mut factor);
        factor
    }

    #[test]
    fn a_factor_times_itself_is_the_matrix() {
        let matrix = sample(23);
        let factor = factored(23);
        for i in 0..23 {
            for j in 0..=i {
                let product = dot(&factor.row(i)[..=j], factor.row(j));
                assert!((product - matrix.row(i)[j]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_row_added_later_gives_the_same_bits() {
        let whole = factored(40);
        let mut grown = factored(17);
        for i in 17..40 {
            grown.push_factored(sample(40).row(i), 1e-12);
        }
        assert_eq!(whole, grown);
        grown.truncate(17);
        assert_eq!(grown, factored(17));
    }

    #[test]
    fn solving_undoes_multiplying() {
        let factor = factored(19);
        let b: Vec<f64> = (0..19).map(|i| f64::from(i % 5) - 1.5).collect();
        let mut x = b.clone();
        factor.solve(&mut x);
        for (i, b) in b.iter().enumerate() {
            assert!((dot(factor.row(i), &x) - b).abs() < 1e-9);
        }
        factor.solve_transposed(&mut x);
        let (mut half, mut inverse) = (Lower::new(), Lower::new());
        factor.inverse_into(&mut half);
        half.square_into(&mut inverse);
        for (i, x) in x.iter().enumerate() {
            let product: f64 =
                (0..19).map(|j| if j <= i { inverse.row(i)[j] } else { inverse.row(j)[i] } * b[j]).sum();
            assert!((product - x).abs() < 1e-9, "{i}");
        }
    }
}
