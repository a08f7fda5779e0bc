//! The penguins: embedded, parsed once; birds with a missing value are left out.

const TABLE: &str = include_str!("penguins.csv");

/// What is known of each penguin besides its mass: bill length and depth, flipper length (all mm), year, and whether
/// it is a Chinstrap, a Gentoo, from Dream, from Torgersen, male (1 or 0 each; Adelie, Biscoe and female otherwise).
pub(crate) const FEATURES: usize = 9;

/// The complete observations, in the file's order: one species after the other.
pub(crate) struct Penguins {
    pub(crate) features: Vec<[f64; FEATURES]>,
    /// Body mass in grams.
    pub(crate) masses: Vec<f64>,
}

impl Penguins {
    pub(crate) fn load() -> Result<Self, String> {
        let mut penguins = Self { features: Vec::new(), masses: Vec::new() };
        for (index, line) in TABLE.lines().enumerate().skip(1) {
            let fields: Vec<&str> = line.trim_end().split(',').collect();
            if fields.contains(&"NA") {
                continue;
            }
            let (features, mass) = parse(&fields)
                .ok_or_else(|| format!("penguins.csv, line {}: not an observation", index + 1))?;
            penguins.features.push(features);
            penguins.masses.push(mass);
        }
        Ok(penguins)
    }
}

fn parse(fields: &[&str]) -> Option<([f64; FEATURES], f64)> {
    let &[species, island, bill_length, bill_depth, flipper, mass, sex, year] = fields else { return None };
    let is = |value: &str, wanted: &str| f64::from(u8::from(value == wanted));
    let features = [
        bill_length.parse().ok()?,
        bill_depth.parse().ok()?,
        flipper.parse().ok()?,
        year.parse().ok()?,
        is(species, "Chinstrap"),
        is(species, "Gentoo"),
        is(island, "Dream"),
        is(island, "Torgersen"),
        is(sex, "male"),
    ];
    Some((features, mass.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Penguins;

    #[test]
    fn every_complete_observation_is_there() -> Result<(), String> {
        let penguins = Penguins::load()?;
        assert_eq!((penguins.features.len(), penguins.masses.len()), (333, 333));
        let of = |column: usize| penguins.features.iter().map(move |row| row[column]).sum::<f64>();
        assert_eq!((of(4), of(5), of(8)), (68.0, 119.0, 168.0), "Chinstrap, Gentoo, male");
        assert!(penguins.masses.iter().all(|mass| (2_700.0..=6_300.0).contains(mass)));
        Ok(())
    }
}
