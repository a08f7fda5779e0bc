//! Event files that the real writers of tensorboardX and TensorBoard made: see `fixtures/summary/make.py`.
#![expect(clippy::unwrap_used, reason = "tests")]

use engine::event::v1::ReportPoint;
use engine::ports::backend::{Reports, Source};
use retrial_backends::{Collector, MetricSource};

const SIMPLE: &[u8] = include_bytes!("fixtures/summary/events.out.tfevents.simple");
const TENSOR: &[u8] = include_bytes!("fixtures/summary/events.out.tfevents.tensor");

fn collector(tags: &[&str]) -> Collector {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Collector::new(
        &MetricSource::Summary { dir: "logs".to_owned(), tags: tags.clone() },
        &tags,
        Reports::File,
    )
    .unwrap()
}

fn read(tags: &[&str], files: &[&[u8]], size: usize) -> (Vec<(u64, Vec<f64>)>, Vec<String>) {
    let mut collector = collector(tags);
    let mut points: Vec<ReportPoint> = Vec::new();
    for (at, file) in files.iter().enumerate() {
        for piece in file.chunks(size) {
            points.extend(collector.feed(&Source::File(format!("logs/tfevents.{at}")), piece));
        }
    }
    points.extend(collector.finish());
    (points.into_iter().map(|point| (point.step, point.values)).collect(), collector.warnings())
}

#[test]
fn a_step_counts_when_every_metric_is_there() {
    let tags = ["val/accuracy", "val/loss"];
    let (points, warnings) = read(&tags, &[SIMPLE], SIMPLE.len());
    let wanted: Vec<(u64, Vec<f64>)> = (0..5_u8)
        .map(|step| {
            let accuracy = (0.5 + f64::from(step) / 10.0) as f32;
            let loss = (1.0 / f64::from(step + 1)) as f32;
            (u64::from(step), vec![f64::from(accuracy), f64::from(loss)])
        })
        .chain([(5, vec![])])
        .collect();
    assert_eq!((points, warnings), (wanted.clone(), vec![]));
    for size in [1, 3, 12, 1_000] {
        assert_eq!(read(&tags, &[SIMPLE], size).0, wanted, "pieces of {size}");
    }
}

#[test]
fn scalars_may_be_tensors() {
    let (points, _) = read(&["val/accuracy", "val/loss"], &[TENSOR], 100);
    assert_eq!(points, [(0, vec![0.0, 0.0]), (1, vec![0.25, 1.0]), (2, vec![0.5, 2.0])]);
}

#[test]
fn several_files_are_read_in_order() {
    let (points, _) = read(&["val/loss"], &[SIMPLE, TENSOR], 64);
    let steps: Vec<u64> = points.iter().map(|point| point.0).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]);
}

#[test]
fn an_unfinished_end_is_waited_for_and_a_damaged_one_ends_its_file_only() {
    // The last record of the file is one of it.
    let tags = ["val/loss"];
    let whole = read(&tags, &[TENSOR], 64).0;
    for cut in 0..TENSOR.len() {
        let (points, warnings) = read(&tags, &[&TENSOR[..cut]], 64);
        assert!(whole.starts_with(&points) && warnings.is_empty(), "cut at {cut}");
        let mut damaged = TENSOR.to_vec();
        damaged[cut] ^= 0x40;
        let (points, warnings) = read(&tags, &[&damaged, TENSOR], 64);
        assert!(points.ends_with(&whole) && points.len() < 2 * whole.len(), "damaged at {cut}");
        assert!(warnings.len() <= 1, "{warnings:?}");
    }
}
