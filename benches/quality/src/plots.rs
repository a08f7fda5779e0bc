//! Two pictures in SVG: what was found, and what it cost, over the trials.

use crate::problem::Problem;
use crate::row::{BLOCK, Row};
use crate::score::{self, Scale};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Colours that most people tell apart; a solver keeps its own in both pictures.
const COLOURS: [&str; 13] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#111111", "#8c510a",
    "#5e3c99", "#1b7837", "#b2182b", "#f781bf",
];

/// One line of a panel: the solver's place in the legend, and its points.
type Line = (usize, Vec<(f64, f64)>);

/// A plot with a logarithmic vertical axis.
struct Panel {
    title: String,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    /// The last trial.
    trials: f64,
    /// The powers of ten of the lowest and of the highest value.
    decades: (i32, i32),
}

impl Panel {
    fn x(&self, trial: f64) -> f64 {
        self.left + self.width * trial / self.trials
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let height = (libm::log10(value.max(1e-12)).clamp(low, high) - low) / (high - low);
        self.top + self.height * (1.0 - height)
    }

    fn draw(&self, lines: &[Line], solvers: &[String]) -> String {
        let (left, top, right, bottom) =
            (self.left, self.top, self.left + self.width, self.top + self.height);
        let mut svg = format!(
            "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>\n\
             <rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#999\"/>\n",
            top - 8.0,
            self.title,
            self.width,
            self.height
        );
        for decade in self.decades.0..=self.decades.1 {
            let value = libm::pow(10.0, f64::from(decade));
            let y = self.y(value);
            svg.push_str(&format!(
                "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>\n",
                left - 5.0,
                y + 4.0
            ));
        }
        for quarter in 0..=4 {
            let trial = self.trials * f64::from(quarter) / 4.0;
            svg.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{trial}</text>\n",
                self.x(trial),
                bottom + 15.0
            ));
        }
        for (solver, points) in lines {
            let points: Vec<String> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y))).collect();
            svg.push_str(&format!(
                "<polyline points=\"{}\" fill=\"none\" {}/>\n",
                points.join(" "),
                stroke(*solver, solvers)
            ));
        }
        svg
    }
}

/// Solid for samplers of this repository, dashed for others.
fn stroke(solver: usize, solvers: &[String]) -> String {
    let colour = COLOURS[solver % COLOURS.len()];
    let other = solvers.get(solver).is_some_and(|name| name.contains('-'));
    let (dash, width) = match solvers.get(solver).map(String::as_str) {
        Some("auto") => ("", 2.6),
        _ if other => (" stroke-dasharray=\"5 3\"", 1.5),
        _ => ("", 1.5),
    };
    format!("stroke=\"{colour}\" stroke-width=\"{width}\"{dash}")
}

/// The whole picture around its panels; the legend is below them.
fn picture(width: f64, bottom: f64, caption: &str, body: &str, solvers: &[String]) -> String {
    let (columns, column) = (5, (width - 40.0) / 5.0);
    let rows = solvers.len().div_ceil(columns);
    let height = bottom + 40.0 + 20.0 * rows as f64;
    let mut legend = String::new();
    for (i, solver) in solvers.iter().enumerate() {
        let x = 20.0 + column * (i % columns) as f64;
        let y = bottom + 42.0 + 20.0 * (i / columns) as f64;
        legend.push_str(&format!(
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" {}/>\n<text x=\"{:.1}\" y=\"{:.1}\">{solver}</text>\n",
            x + 24.0,
            stroke(i, solvers),
            x + 30.0,
            y + 4.0
        ));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#222\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"20\" y=\"22\" font-size=\"13\">{caption}</text>\n{body}{legend}</svg>\n"
    )
}

/// Writes `regret.svg` and `cost.svg` into a folder.
pub(crate) fn draw(rows: &[Row], problems: &[Problem], trials: u32, folder: &Path) -> Result<()> {
    let rows: Vec<Row> = rows.iter().filter(|row| row.concurrency == 1).cloned().collect();
    let mut solvers: Vec<String> = score::solvers(&rows, 0).into_keys().map(str::to_owned).collect();
    // Samplers of this repository first.
    solvers.sort_by_key(|name| (name.contains('-'), name.clone()));
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("regret.svg", regrets(&rows, problems, trials, &solvers))?;
    write("cost.svg", costs(&rows, trials, &solvers))
}

fn regrets(rows: &[Row], problems: &[Problem], trials: u32, solvers: &[String]) -> String {
    let scale = Scale::new(rows, problems, trials);
    let classes = std::iter::once(None).chain(score::classes(rows).into_iter().map(Some));
    let mut body = String::new();
    for (i, class) in classes.enumerate() {
        let panel = Panel {
            title: class.unwrap_or("all problems").to_owned(),
            left: 55.0 + 290.0 * (i % 3) as f64,
            top: 60.0 + 245.0 * (i / 3) as f64,
            width: 235.0,
            height: 180.0,
            trials: f64::from(trials),
            decades: (-2, 0),
        };
        let line = |(place, solver): (usize, &String)| {
            let at = |trial: u32| {
                let own: Vec<&Row> =
                    rows.iter().filter(|row| row.solver == *solver && row.trials >= trial).collect();
                Some((f64::from(trial), score::regret(&own, &scale, class, trial)?))
            };
            (place, (1..=trials).step_by(3).filter_map(at).collect())
        };
        let lines: Vec<Line> = solvers.iter().enumerate().map(line).collect();
        body.push_str(&panel.draw(&lines, solvers));
    }
    let caption = format!("Mean regret over trials: 1 is random search after {trials} trials, 0 the optimum");
    picture(900.0, 510.0, &caption, &body, solvers)
}

fn costs(rows: &[Row], trials: u32, solvers: &[String]) -> String {
    let panel = Panel {
        title: String::new(),
        left: 60.0,
        top: 40.0,
        width: 600.0,
        height: 300.0,
        trials: f64::from(trials),
        decades: (-3, 3),
    };
    let line = |(place, solver): (usize, &String)| {
        let at = |block: u32| {
            let own = rows.iter().filter(|row| row.solver == *solver);
            let costs: Vec<f64> = own.filter_map(|row| row.cpu_us.get(block as usize)).copied().collect();
            Some((f64::from((block + 1) * BLOCK), score::mean(&costs)? / 1_000.0))
        };
        (place, (0..trials / BLOCK).filter_map(at).collect())
    };
    let lines: Vec<Line> = solvers.iter().enumerate().map(line).collect();
    picture(
        690.0,
        360.0,
        "CPU milliseconds per trial, mean over all problems, over trials",
        &panel.draw(&lines, solvers),
        solvers,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_puts_values_on_a_logarithmic_axis() {
        let panel = Panel {
            title: "p".to_owned(),
            left: 10.0,
            top: 20.0,
            width: 100.0,
            height: 200.0,
            trials: 50.0,
            decades: (-2, 0),
        };
        assert_eq!((panel.x(0.0), panel.x(25.0), panel.x(50.0)), (10.0, 60.0, 110.0));
        assert_eq!((panel.y(1.0), panel.y(0.1), panel.y(0.01), panel.y(0.0)), (20.0, 120.0, 220.0, 220.0));
        let svg = panel.draw(&[(0, vec![(0.0, 1.0), (50.0, 0.1)])], &["auto".to_owned()]);
        assert!(svg.contains("points=\"10.0,20.0 110.0,120.0\""), "{svg}");
    }
}
