//! Tests of the rules: what is refused, where, and what is not.

use super::fields::{Reader, When};
use super::rules::{JOB_TYPES, check_job};
use super::schema::CREATE_JOB_REQUEST;
use serde_json::{Value, json};

fn check(job: &Value) -> Vec<String> {
    let mut reader = Reader::new(When::Checked);
    let read = reader.part(job, CREATE_JOB_REQUEST, "j").unwrap();
    check_job(&mut reader, read.as_object().unwrap(), "j");
    assert!(reader.errors.iter().all(|error| !error.cure.is_empty()), "{:?}", reader.errors);
    reader.errors.iter().map(|error| format!("{} {}", error.code, error.path)).collect()
}

/// A job that is right, with one part changed.
fn with(pointer: &str, value: Value) -> Value {
    let mut job = json!({
        "WorkspaceId": "1", "JobType": "TFJob",
        "JobSpecs": [{"Type": "Worker", "Image": "i", "EcsSpec": "e"}, {"Type": "PS", "Image": "i", "EcsSpec": "e"}],
        "UserVpc": {}, "Settings": {},
    });
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    job.pointer_mut(parent).unwrap()[key] = value;
    job
}

fn without(pointer: &str) -> Value {
    let mut job = with("/Priority", json!(1));
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    job.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
    job
}

#[test]
fn each_rule_is_kept() {
    let none: &[&str] = &[];
    let quota = |spec: Value| json!({"WorkspaceId": "1", "JobType": "PyTorchJob", "ResourceId": "q", "JobSpecs": [spec]});
    for (job, expected) in [
        (with("/Priority", json!(9)), none),
        (without("/WorkspaceId"), &["E0509 j"]),
        (without("/JobType"), &["E0509 j"]),
        (without("/JobSpecs"), &["E0509 j"]),
        (with("/WorkspaceId", json!(" ")), &["E0509 j"]),
        (with("/JobSpecs", json!([])), &["E0509 j"]),
        (with("/JobType", json!("tfjob")), &["E0511 j.JobType"]),
        (with("/JobType", json!("${type}")), none),
        (with("/Accessibility", json!("private")), &["E0511 j.Accessibility"]),
        (with("/SuccessPolicy", json!("AnyWorker")), &["E0511 j.SuccessPolicy"]),
        (with("/SuccessPolicy", json!("ChiefWorker")), none),
        (with("/Priority", json!(0)), &["E0502 j.Priority"]),
        (with("/Priority", json!(10)), &["E0502 j.Priority"]),
        (with("/JobMaxRunningTimeMinutes", json!(0)), &["E0502 j.JobMaxRunningTimeMinutes"]),
        (with("/DisplayName", json!("my job")), &["E0512 j.DisplayName"]),
        (with("/DisplayName", json!("mnist-${lr}")), none),
        (with("/DisplayName", json!("x".repeat(219))), none),
        (with("/DisplayName", json!("x".repeat(220))), &["E0512 j.DisplayName"]),
        (with("/JobSpecs/0/Type", json!("worker")), &["E0511 j.JobSpecs[0].Type"]),
        (with("/JobSpecs/0/Type", json!("Head")), &["E0511 j.JobSpecs[0].Type"]),
        (with("/JobSpecs/1/Type", json!("Worker")), &["E0510 j.JobSpecs[1].Type"]),
        (without("/JobSpecs/0/Type"), &["E0509 j.JobSpecs[0]"]),
        (without("/JobSpecs/0/Image"), &["E0509 j.JobSpecs[0]"]),
        (without("/JobSpecs/0/EcsSpec"), &["E0509 j.JobSpecs[0]"]),
        (with("/JobSpecs/0/PodCount", json!(0)), &["E0502 j.JobSpecs[0].PodCount"]),
        (with("/JobSpecs/0/RestartPolicy", json!("never")), &["E0511 j.JobSpecs[0].RestartPolicy"]),
        (with("/JobSpecs/0/RestartPolicy", json!("OnFailure")), none),
        (
            with("/JobSpecs/0/ResourceConfig", json!({"CPU": 1})),
            &["E0510 j.JobSpecs[0].ResourceConfig", "E0509 j.JobSpecs[0].ResourceConfig"],
        ),
        (quota(json!({"Type": "Worker", "Image": "i", "ResourceConfig": {"CPU": 4}})), none),
        (quota(json!({"Type": "Chief", "Image": "i", "EcsSpec": "e"})), &["E0511 j.JobSpecs[0].Type"]),
        (
            with("/JobSpecs/0/SpotSpec", json!({"SpotPriceLimit": 1, "SpotDiscountLimit": 0.5})),
            &["E0510 j.JobSpecs[0].SpotSpec.SpotDiscountLimit"],
        ),
        (with("/DataSources", json!([{"Uri": "oss://b/", "MountPath": "/d", "MountAccess": "RW"}])), none),
        (
            with("/DataSources", json!([{"MountPath": "d"}])),
            &["E0509 j.DataSources[0]", "E0503 j.DataSources[0].MountPath"],
        ),
        (with("/DataSources", json!([{"Uri": "u", "DataSourceId": "d"}])), &["E0510 j.DataSources[0].Uri"]),
        (
            with("/DataSources", json!([{"Uri": "u", "MountPath": "/d"}, {"Uri": "v", "MountPath": "/d"}])),
            &["E0510 j.DataSources[1].MountPath"],
        ),
        (
            with("/DataSources", json!([{"Uri": "u", "MountAccess": "rw"}])),
            &["E0511 j.DataSources[0].MountAccess"],
        ),
        (with("/UserVpc/VpcId", json!("v")), &["E0509 j.UserVpc", "E0509 j.UserVpc"]),
        (with("/UserVpc/DefaultRoute", json!("eth2")), &["E0511 j.UserVpc.DefaultRoute"]),
        (with("/Settings/OversoldType", json!("No")), &["E0511 j.Settings.OversoldType"]),
        (with("/Settings/Tags", json!({"team": "x"})), none),
        (with("/Settings/Tags", json!({"retrial-key": "x"})), &["E0512 j.Settings.Tags.retrial-key"]),
        (with("/Settings/Tags", json!({"acs:x": "x"})), &["E0512 j.Settings.Tags.acs:x"]),
        (with("/Envs", json!({"RETRIAL_KEY": "x"})), &["E0512 j.Envs.RETRIAL_KEY"]),
        (with("/Envs", json!({"1A": "x", "OK": "y"})), &["E0512 j.Envs.1A"]),
    ] {
        assert_eq!(check(&job), expected, "{job}");
    }
}

#[test]
fn too_many_tags_are_refused_before_ours_are_added() {
    let tags = |count: usize| (0..count).map(|n| (format!("t{n}"), json!("x"))).collect::<Value>();
    assert!(check(&with("/Settings/Tags", tags(18))).is_empty());
    assert_eq!(check(&with("/Settings/Tags", tags(19))), ["E0502 j.Settings.Tags"]);
}

#[test]
fn every_type_of_job_is_taken_and_ray_has_groups_of_workers() {
    for job_type in JOB_TYPES {
        let job = json!({
            "WorkspaceId": "1", "JobType": job_type, "JobSpecs": [{"Type": "Worker", "Image": "i", "EcsSpec": "e"}]
        });
        assert!(check(&job).is_empty(), "{job_type}");
    }
    let kinds = ["Head", "Worker", "Worker-gpu"];
    let specs: Value = kinds.iter().map(|kind| json!({"Type": kind, "Image": "i", "EcsSpec": "e"})).collect();
    assert!(check(&json!({"WorkspaceId": "1", "JobType": "RayJob", "JobSpecs": specs})).is_empty());
}

#[test]
fn a_template_of_the_service_may_hold_the_rest() {
    assert!(check(&json!({"WorkspaceId": "1", "TemplateId": "t"})).is_empty());
    let partly =
        json!({"WorkspaceId": "1", "TemplateId": "t", "JobSpecs": [{"Type": "Worker", "PodCount": 2}]});
    assert!(check(&partly).is_empty());
}
