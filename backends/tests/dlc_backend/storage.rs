//! What jobs leave in buckets, and templates that are written there.

use super::stage::{Stage, life};
use engine::ports::backend::{Backend, ReadError, Source, Submitted, TaskOrder, TemplateFile};
use engine::testing::backend::key;
use engine::time::Timestamp;
use retrial_backends::cloud::world::World;
use serde_json::json;
use simulators::fault::{Answer, Fault};
use simulators::oss::{Script, Simulator};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A region with a bucket `simulated`, and a template of which the experiment's folder is left to the caller.
fn stage() -> (Arc<Stage>, Simulator) {
    let stage = Stage::new(json!({"life": life(&[("Running", Some(3_000)), ("Succeeded", None)], &[])}));
    let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let Timestamp(now) = stage.wall();
    let clock_offset_ms = now - i64::try_from(machine).unwrap();
    let bucket = Simulator::anywhere(&Script { clock_offset_ms, ..Script::default() }).unwrap();
    (stage, bucket)
}

fn order(stage: &Stage, bucket: &Simulator, templates: &[(&str, &str)]) -> TaskOrder {
    let more = json!({"region": "cn-hangzhou", "oss_endpoint": format!("http://{}", bucket.address())});
    let mut order = stage.order(key(1, 0), "train", &more);
    order.bindings = vec![("lr".to_owned(), "0.25".to_owned())];
    order.templates = templates
        .iter()
        .map(|(source, target)| TemplateFile { source: (*source).to_owned(), target: (*target).to_owned() })
        .collect();
    order
}

#[tokio::test]
async fn metrics_are_read_and_listed_where_the_job_has_left_them() {
    let (stage, bucket) = stage();
    let backend = stage.controller();
    let submitted = backend.submit(&order(&stage, &bucket, &[])).await;
    let Submitted::Accepted(job) = submitted else { panic!("{submitted:?}") };
    let file = Source::File("oss://simulated/run/1/out.json".to_owned());
    let absent = backend.read(&job, &file, 0, 100).await.unwrap_err();
    assert!(matches!(absent, ReadError::Absent(_)), "{absent:?}");
    bucket.put("simulated", "run/1/out.json", b"{\"acc\":0.5}").unwrap();
    bucket.put("simulated", "run/10/out.json", b"").unwrap();
    // Another controller needs no more than the handle.
    let backend = stage.controller();
    let chunk = backend.read(&job, &file, 1, 5).await.unwrap();
    assert_eq!((chunk.bytes.as_slice(), chunk.start, chunk.at_end), (&b"\"acc\""[..], 1, false));
    assert!(backend.read(&job, &file, 6, 100).await.unwrap().at_end);
    let listed = backend.list(&job, "oss://simulated/run/1").await.unwrap();
    assert_eq!(listed, ["oss://simulated/run/1/out.json"]);
    let wrong = backend.read(&job, &Source::File("out.json".to_owned()), 0, 9).await.unwrap_err();
    assert!(wrong.to_string().contains("E0540"), "{wrong}");
}

#[tokio::test]
async fn templates_go_to_a_bucket_or_into_the_command() {
    let (stage, bucket) = stage();
    let backend = stage.controller();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("conf.template");
    std::fs::write(&source, "rate=${lr}\nhome=$HOME\n").unwrap();
    let source = source.to_str().unwrap();
    bucket.put("simulated", "conf.template", b"from afar: ${lr}").unwrap();
    let templates = [
        (source, "oss://simulated/run/1/conf"),
        (source, "conf/it's.cfg"),
        ("oss://simulated/conf.template", "afar.cfg"),
    ];
    let order = order(&stage, &bucket, &templates);
    let shown = backend.preview(&order).unwrap()["UserCommand"].as_str().unwrap().to_owned();
    assert!(shown.contains("(what is in oss://simulated/conf.template)"), "{shown}");
    assert_eq!(bucket.object("simulated", "run/1/conf"), None, "a dry run writes nothing");
    let submitted = backend.submit(&order).await;
    assert!(matches!(submitted, Submitted::Accepted(_)), "{submitted:?}");
    assert_eq!(bucket.object("simulated", "run/1/conf").unwrap(), b"rate=0.25\nhome=$HOME\n");
    let command = stage.simulator.jobs(|jobs| jobs[0].asked("UserCommand").to_owned());
    for part in ["mkdir -p 'conf'", "'rate=0.25\nhome=$HOME\n'", "'from afar: 0.25'"] {
        assert!(command.contains(part), "{part} in {command}");
    }
    assert!(command.ends_with("\ntrain"), "{command}");
}

#[tokio::test]
async fn a_template_that_cannot_be_had_is_the_tasks_fault_and_a_bucket_that_is_away_is_not() {
    let (stage, bucket) = stage();
    let backend = stage.controller();
    for (source, target, part) in [
        ("/nowhere/conf", "conf", "/nowhere/conf"),
        ("oss://simulated/none", "conf", "E0545"),
        ("oss://missing/none", "conf", "E0541"),
    ] {
        let submitted = backend.submit(&order(&stage, &bucket, &[(source, target)])).await;
        let Submitted::Refused(reason) = submitted else { panic!("{submitted:?}") };
        assert!(reason.contains(part), "{reason}");
    }
    bucket.put("simulated", "conf", b"x").unwrap();
    bucket.add_faults([Fault {
        times: 0,
        answer: Answer::Error {
            status: 403,
            code: "AccessDenied".to_owned(),
            message: "no".to_owned(),
            retry_after_ms: None,
            retry_after_s: None,
        },
        ..Fault::default()
    }]);
    let submitted = backend.submit(&order(&stage, &bucket, &[("oss://simulated/conf", "conf")])).await;
    assert!(matches!(&submitted, Submitted::Later(_, reason) if reason.contains("E0543")), "{submitted:?}");
    assert!(stage.simulator.jobs(<[_]>::is_empty));
}
