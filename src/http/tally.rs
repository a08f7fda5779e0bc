//! What the server counts, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the classes of answer times, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Default, Clone)]
struct Times {
    classes: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// Counts of answers.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<(&'static str, u16), u64>>,
    times: Mutex<BTreeMap<&'static str, Times>>,
}

impl Tally {
    /// An operation has been answered.
    pub fn answered(&self, operation: &'static str, status: u16, took: Duration) {
        *self
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((operation, status))
            .or_default() += 1;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.entry(operation).or_default();
        let seconds = took.as_secs_f64();
        for (class, bound) in times.classes.iter_mut().zip(BOUNDS) {
            *class += u64::from(seconds <= bound);
        }
        times.count += 1;
        times.sum += seconds;
    }

    /// In the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# HELP retrial_http_requests_total Answers by operation and status.\n# TYPE retrial_http_requests_total counter\n",
        );
        for ((operation, status), count) in &*self.counts.lock().unwrap_or_else(PoisonError::into_inner) {
            text += &format!(
                "retrial_http_requests_total{{operation=\"{operation}\",status=\"{status}\"}} {count}\n"
            );
        }
        text += "# HELP retrial_http_request_seconds Time to an answer by operation.\n# TYPE retrial_http_request_seconds histogram\n";
        for (operation, times) in &*self.times.lock().unwrap_or_else(PoisonError::into_inner) {
            for (class, bound) in times.classes.iter().zip(BOUNDS) {
                text += &format!(
                    "retrial_http_request_seconds_bucket{{operation=\"{operation}\",le=\"{bound}\"}} {class}\n"
                );
            }
            let Times { count, sum, .. } = times;
            text += &format!(
                "retrial_http_request_seconds_bucket{{operation=\"{operation}\",le=\"+Inf\"}} {count}\n"
            );
            text += &format!("retrial_http_request_seconds_sum{{operation=\"{operation}\"}} {sum}\n");
            text += &format!("retrial_http_request_seconds_count{{operation=\"{operation}\"}} {count}\n");
        }
        text
    }
}
