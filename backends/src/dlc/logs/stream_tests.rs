//! The lines of a stream against a scripted pod that is late, cuts long answers and has any kind of edges.

use super::*;
use proptest::prelude::*;

const SMALL: Bounds = Bounds { lines: 12, raised: [20, 40], settled_s: 20, long: 4 };

/// A pod that writes, and a service that tells.
#[derive(Debug, Clone)]
struct Pod {
    /// When each line is written, by how much it is late, and what it says. In milliseconds, ordered.
    lines: Vec<(i64, i64, String)>,
    begin_belongs: bool,
    end_belongs: bool,
    keeps_last: bool,
}

impl Pod {
    fn answer(&self, asked: Window, now_ms: i64) -> Vec<String> {
        let inside = |at_ms: i64| {
            let second = at_ms.div_euclid(1000);
            (second > asked.from_s || self.begin_belongs && second == asked.from_s)
                && (second < asked.to_s || self.end_belongs && second == asked.to_s)
        };
        let seen = self.lines.iter().filter(|(at, late, _)| inside(*at) && at + late <= now_ms);
        let mut seen: Vec<String> = seen.map(|(_, _, text)| text.clone()).collect();
        if self.keeps_last {
            seen.drain(..seen.len().saturating_sub(asked.most));
        }
        seen.truncate(asked.most);
        seen
    }

    fn texts(&self) -> Vec<String> {
        self.lines.iter().map(|(_, _, text)| text.clone()).collect()
    }

    /// Reads it from a time on every so often until all is quiet: the lines, how many gaps, and how many requests.
    fn read(&self, bounds: Bounds, first_ms: i64, every_ms: i64) -> (Vec<String>, usize, usize) {
        let mut stream = Stream::new(-1, bounds);
        let (mut lines, mut gaps, mut requests) = (Vec::new(), 0, 0);
        let end_ms = self.lines.iter().map(|(at, late, _)| at + late).max().unwrap_or(0) + 3_000;
        let mut now_ms = first_ms;
        loop {
            loop {
                let now_s = now_ms.div_euclid(1000);
                let asked = stream.ask(now_s);
                assert!(asked.from_s < asked.to_s || (asked.from_s == asked.to_s && asked.from_s >= 0));
                let taken = stream.take(asked, self.answer(asked, now_ms), now_s);
                lines.extend(taken.lines);
                gaps += usize::from(taken.gap);
                requests += 1;
                assert!(requests < 20_000, "it does not end: {stream:?}");
                // Requests take time.
                now_ms += 7;
                if taken.complete {
                    break;
                }
            }
            if now_ms > end_ms {
                return (lines, gaps, requests);
            }
            now_ms += every_ms;
        }
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

prop_compose! {
    /// Lines of a few words, now and then and in bursts, of which at most `burst` fall into a second.
    fn pod(burst: usize, lag_ms: i64, jitter_ms: i64)(
        steps in prop::collection::vec((0_i64..4_000, 1..=burst, 0_u8..3), 0..60),
        lates in prop::collection::vec(0..=jitter_ms, 400),
        lag_ms in 0..=lag_ms,
        (begin_belongs, end_belongs) in prop::sample::select(vec![(true, true), (true, false), (false, true)]),
        keeps_last: bool,
    ) -> Pod {
        let (mut at, mut lines) = (0, Vec::new());
        for (pause, count, word) in steps {
            at += 1_000 + pause;
            for _ in 0..count {
                let late = lag_ms + lates[lines.len() % lates.len()];
                lines.push((at, late, format!("loss={word}")));
            }
        }
        Pod { lines, begin_belongs, end_belongs, keeps_last }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_given_once_and_in_order(pod in pod(5, 10_000, 0), first in 0_i64..300_000, every in 1_i64..30_000) {
        let (lines, gaps, _) = pod.read(SMALL, first, every);
        prop_assert_eq!(lines, pod.texts());
        prop_assert_eq!(gaps, 0);
    }

    #[test]
    fn a_line_that_is_overtaken_is_given_once(pod in pod(1, 5_000, 12_000), first in 0_i64..300_000, every in 1_i64..30_000) {
        // At most one line in a second: what may still be late always fits into the longest answer.
        let (lines, gaps, _) = pod.read(SMALL, first, every);
        prop_assert_eq!(sorted(lines), sorted(pod.texts()));
        prop_assert_eq!(gaps, 0);
    }

    #[test]
    fn a_second_with_too_many_lines_is_a_gap_and_nothing_is_made_up(
        mut pod in pod(60, 3_000, 0),
        first in 0_i64..300_000,
        every in 1_i64..30_000,
    ) {
        pod.keeps_last = false;
        for (number, line) in pod.lines.iter_mut().enumerate() {
            line.2 = number.to_string();
        }
        let (lines, gaps, _) = pod.read(SMALL, first, every);
        let all = pod.texts();
        if gaps == 0 {
            prop_assert_eq!(&lines, &all);
        }
        // In order, and no line twice.
        let numbers: Vec<u64> = lines.iter().map(|line| line.parse().unwrap()).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{:?}", numbers);
        let fits = |second: i64| pod.lines.iter().filter(|line| line.0 / 1000 == second).count() < 19;
        if pod.lines.iter().all(|line| fits(line.0 / 1000)) {
            prop_assert_eq!(gaps, 0);
        }
    }
}

fn plain(lines: Vec<(i64, i64, String)>) -> Pod {
    Pod { lines, begin_belongs: true, end_belongs: true, keeps_last: false }
}

#[test]
fn a_quiet_pod_costs_one_request_each_time() {
    let pod = plain((0..100).map(|n| (n * 1_000, 0, "same".to_owned())).collect());
    let (lines, gaps, requests) = pod.read(Bounds::default(), 0, 10_000);
    assert_eq!((lines.len(), gaps), (100, 0));
    assert!(requests <= 12, "{requests}");
}

#[test]
fn a_long_log_is_caught_up_with_in_few_requests() {
    let pod = plain((0..50_000).map(|n| (n * 100, 0, format!("{}", n % 7))).collect());
    let (lines, gaps, requests) = pod.read(Bounds::default(), 600_000_000, 10_000);
    assert_eq!((lines == pod.texts(), gaps), (true, 0));
    assert!(requests < 300, "{requests}");
}

#[test]
fn an_answer_that_is_short_once_loses_and_repeats_nothing() {
    let mut stream = Stream::new(0, Bounds::default());
    let mut given = Vec::new();
    for answer in
        [vec!["a", "a", "b"], vec!["a"], vec![], vec!["a", "a", "b", "a"], vec!["late", "a", "a", "b", "a"]]
    {
        let lines = answer.into_iter().map(str::to_owned).collect();
        let taken = stream.take(stream.ask(10), lines, 10);
        assert!(taken.complete);
        given.extend(taken.lines);
    }
    assert_eq!(given, ["a", "a", "b", "a", "late"]);
}

#[test]
fn windows_that_contradict_each_other_do_not_hold_it_up() {
    // A service that does not look at the beginning, as long as the answer is not too long.
    let mut stream = Stream::new(0, SMALL);
    let mut given = 0;
    for round in 0..200_i64 {
        let asked = stream.ask(1_000 + round);
        let lines = (0..10).map(|n| format!("{n} {}", asked.to_s % 2)).collect();
        given += stream.take(asked, lines, 1_000 + round).lines.len();
    }
    assert!(stream.begin_s > 500, "{stream:?}");
    assert!(given < 1_000);
}
