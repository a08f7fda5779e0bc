//! `importance`: which parameters of an experiment mattered.

use super::args::{self, Common};
use super::output;
use super::source::Source;
use crate::error::{Failure, exit};
use crate::views::importance::{Method, Question, Told};

/// Pairs below this share are left out of the table.
const LEAST_SHOWN: f64 = 0.005;
/// Most pairs in the table.
const MOST_PAIRS: usize = 10;
/// The length of a bar for everything.
const BAR: f64 = 40.0;

/// `importance`
pub fn importance(common: &Common, exp: &str, how: &args::Question) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let told = question(how).of(source.experiment()?)?.answer()?;
    if common.json {
        output::json(&told.json())?;
    } else {
        output::text(&as_text(&told))?;
    }
    Ok(exit::DONE)
}

fn question(how: &args::Question) -> Question {
    let args::Question { method, top, within, space, metric } = how.clone();
    let method = match method {
        args::Method::PedAnova => Method::PedAnova,
        args::Method::Fanova => Method::Fanova,
    };
    Question { method, top, within, space, metric }
}

fn as_text(told: &Told) -> String {
    let stopped = match told.stopped {
        0 => String::new(),
        stopped => format!(" and {stopped} stopped early"),
    };
    let mut rows = vec![["PARAMETER", "IMPORTANCE", ""].map(str::to_owned).to_vec()];
    let shown = told.pairs.iter().filter(|share| share.share >= LEAST_SHOWN).take(MOST_PAIRS);
    for share in told.parameters.iter().chain(shown) {
        let bar = "#".repeat((share.share * BAR).round() as usize);
        rows.push(vec![share.names.join(" with "), format!("{:.3}", share.share), bar]);
    }
    format!(
        "{} ({}): {}\n{} trials that ran to their end{stopped}\n\n{}",
        told.name,
        told.experiment,
        told.question,
        told.finished,
        output::table(&rows)
    )
}
