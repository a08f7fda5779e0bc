//! Tests of command lines: every flag, every mistake.

use super::flags;
use super::submit_line::{SubmitLine, is_submit_line, read};
use engine::error::SpecError;
use engine::ports::backend::CommandLine;
use serde_json::json;

fn parse_with(line: &str, file: &str) -> (SubmitLine, Vec<SpecError>) {
    let mut errors = Vec::new();
    let files = |name: &str| {
        if name == "job.txt" { Ok(file.to_owned()) } else { Err("it does not exist".to_owned()) }
    };
    let read = read(&CommandLine::Shell(line.to_owned()), "run.dlc.command", &files, &mut errors);
    assert!(
        errors.iter().all(|error| error.path == "run.dlc.command" && !error.cure.is_empty()),
        "{errors:?}"
    );
    (read, errors)
}

fn parse(line: &str) -> (SubmitLine, Vec<SpecError>) {
    parse_with(line, "")
}

/// One line with every flag that has a place in the request.
const EVERY_FLAG: &str = "./dlc -r cn-beijing --endpoint=pai-dlc.cn-beijing.aliyuncs.com submit tfjob --protocol https \
    --name=t_${exp_id}_${trial_id} --command \"python train.py --lr=${lr}\" \
    --data_sources=d-one,d-two:v2:/mnt/two,d-three:/mnt/three \
    --data_source_uris='oss://b.oss-cn-beijing-internal.aliyuncs.com/p/::/mnt/oss,nas://x.cn-beijing/' \
    --code_source=code-1 --code_branch=main --code_commit=abc --thirdparty_libs=numpy==1.26.4,pandas \
    --thirdparty_lib_dir=/root/code --vpc_id=vpc-1 --switch_id=vsw-1 --security_group_id=sg-1 \
    --extended_cidrs=10.0.0.0/16,10.1.0.0/16 --default_route=eth1 --interactive --exit_code_on_stopped=1 \
    --job_max_running_time_minutes=60 --job_reserved_minutes=5 --job_reserved_policy=Always \
    --success_policy=ChiefWorker --envs='A=1,\"B=x,y=z\",C=a=b' --tags=team=x --oversold_type=AcceptQuotaOverSold \
    --driver=535.54.03 --advanced_settings='createSvcForAllWorkers=true,customPortList=6379;6380-6383' \
    --workspace_id=12345 --resource_id=quota1 --priority=5 \
    --chief --chief_image=i1 --chief_cpu=4 --chief_memory=8Gi --masters=1 --master_image=i2 --master_cpu=1 \
    --ps=2 --ps_image=i3 --ps_cpu=2 --workers=3 --worker_image=i4 --worker_cpu=12 --worker_gpu=1 --worker_gpu_type=V100 \
    --worker_memory=200Gi --worker_shared_memory=100Gi --evaluators=1 --evaluator_image=i5 --evaluator_spec=ecs.g6.large \
    --graphlearns=1 --graphlearn_image=i6 --graphlearn_spec=ecs.g6.large --heads=0 --head_image=unused";

#[test]
fn every_flag_goes_to_its_place() {
    let (line, errors) = parse(EVERY_FLAG);
    assert_eq!(errors, []);
    assert_eq!(line.region.as_deref(), Some("cn-beijing"));
    assert_eq!(line.endpoint.as_deref(), Some("pai-dlc.cn-beijing.aliyuncs.com"));
    let expected = json!({
        "JobType": "TFJob", "DisplayName": "t_${exp_id}_${trial_id}", "UserCommand": "python train.py --lr=${lr}",
        "DataSources": [
            {"DataSourceId": "d-one"},
            {"DataSourceId": "d-two", "DataSourceVersion": "v2", "MountPath": "/mnt/two"},
            {"DataSourceId": "d-three", "MountPath": "/mnt/three"},
            {"Uri": "oss://b.oss-cn-beijing-internal.aliyuncs.com/p/", "MountPath": "/mnt/oss"},
            {"Uri": "nas://x.cn-beijing/"},
        ],
        "CodeSource": {"CodeSourceId": "code-1", "Branch": "main", "Commit": "abc"},
        "ThirdpartyLibs": ["numpy==1.26.4", "pandas"], "ThirdpartyLibDir": "/root/code",
        "UserVpc": {
            "VpcId": "vpc-1", "SwitchId": "vsw-1", "SecurityGroupId": "sg-1",
            "ExtendedCIDRs": ["10.0.0.0/16", "10.1.0.0/16"], "DefaultRoute": "eth1",
        },
        "JobMaxRunningTimeMinutes": "60",
        "Settings": {
            "JobReservedMinutes": "5", "JobReservedPolicy": "Always", "Tags": {"team": "x"},
            "OversoldType": "AcceptQuotaOverSold", "Driver": "535.54.03",
            "AdvancedSettings": {"createSvcForAllWorkers": "true", "customPortList": "6379;6380-6383"},
        },
        "SuccessPolicy": "ChiefWorker", "Envs": {"A": "1", "B": "x,y=z", "C": "a=b"},
        "WorkspaceId": "12345", "ResourceId": "quota1", "Priority": "5",
        "JobSpecs": [
            {"Type": "Chief", "PodCount": "1", "Image": "i1", "ResourceConfig": {"CPU": "4", "Memory": "8Gi"}},
            {"Type": "Master", "PodCount": "1", "Image": "i2", "ResourceConfig": {"CPU": "1"}},
            {"Type": "PS", "PodCount": "2", "Image": "i3", "ResourceConfig": {"CPU": "2"}},
            {"Type": "Worker", "PodCount": "3", "Image": "i4", "ResourceConfig": {
                "CPU": "12", "GPU": "1", "GPUType": "V100", "Memory": "200Gi", "SharedMemory": "100Gi",
            }},
            {"Type": "Evaluator", "PodCount": "1", "Image": "i5", "EcsSpec": "ecs.g6.large"},
            {"Type": "GraphLearn", "PodCount": "1", "Image": "i6", "EcsSpec": "ecs.g6.large"},
        ],
    });
    assert_eq!(serde_json::Value::Object(line.job), expected);
}

#[test]
fn a_list_of_words_says_the_same_as_a_line() {
    let words = super::words::split(EVERY_FLAG).unwrap();
    let mut errors = Vec::new();
    let from_words = read(&CommandLine::Args(words), "p", &|_| Err(String::new()), &mut errors);
    assert_eq!((from_words, errors), parse(EVERY_FLAG));
}

#[test]
fn the_type_of_job_is_known_by_its_old_and_new_names() {
    for (word, job_type) in
        [("pytorchjob", "PyTorchJob"), ("pytorch", "PyTorchJob"), ("TFJob", "TFJob"), ("rayjob", "RayJob")]
    {
        let (line, errors) = parse(&format!("dlc submit {word} --name=x"));
        assert_eq!((line.job["JobType"].as_str(), errors), (Some(job_type), vec![]));
    }
}

#[test]
fn a_limit_of_0_minutes_an_empty_value_and_no_nodes_say_nothing() {
    let line = "dlc submit pytorchjob --job_max_running_time_minutes=0 --data_sources= --workers 0 --worker_image x \
                --success_policy='' --interactive=false --chief=false";
    let (line, errors) = parse(line);
    assert_eq!((serde_json::Value::Object(line.job), errors), (json!({"JobType": "PyTorchJob"}), vec![]));
}

#[test]
fn a_job_file_counts_more_than_the_line() {
    let file = "name=from_file\n\n# a comment\ncommand=echo a=b && sleep 1\n--workers = 2\nworker_cpu=4\n";
    let (line, errors) =
        parse_with("dlc submit tfjob --job_file job.txt --name=from_line --worker_gpu=1", file);
    assert_eq!(errors, []);
    let expected = json!({
        "JobType": "TFJob", "DisplayName": "from_file", "UserCommand": "echo a=b && sleep 1",
        "JobSpecs": [{"Type": "Worker", "PodCount": "2", "ResourceConfig": {"CPU": "4", "GPU": "1"}}],
    });
    assert_eq!(serde_json::Value::Object(line.job), expected);
}

#[test]
fn every_mistake_of_a_line_is_named_at_once() {
    let line = "dlc submit pytorchjobs surplus --worker-spec=x --nmae=x --name=a --name=b --envs=A --job_file=none.txt \
                --data_source_uris=/mnt --data_sources=d:/a:/b --worker_image=i --protocol=http --access_key=planted --priority";
    let (_, errors) = parse(line);
    let shown: Vec<String> = errors.iter().map(|error| format!("{} {}", error.code, error.message)).collect();
    let expected = [
        "E0501 `dlc submit` has no flag `--worker-spec`",
        "E0501 `dlc submit` has no flag `--nmae`",
        "E0510 `--name` is given a second time",
        "E0513 `--priority` has no value",
        "E0513 the job file `none.txt` cannot be read: it does not exist",
        "E0511 `pytorchjobs` is no type of job",
        "E0513 the word `surplus` belongs to no flag",
        "E0513 `A` of `--envs` is no `name=text`",
        "E0513 `/mnt` of `--data_source_uris` is no data source",
        "E0513 `d:/a:/b` of `--data_sources` is no data source",
        "E0511 `--protocol` cannot be `http`",
        "E0514 `--access_key` holds or names a credential, and is not used",
        "E0509 `--worker_image` is given, and `--workers` is not",
    ];
    assert_eq!(shown, expected);
    assert_eq!(errors[0].cure, "did you mean `--worker_spec`?");
    assert_eq!(errors[1].cure, "did you mean `--name`?");
    assert!(!format!("{errors:?}").contains("planted"));
}

#[test]
fn a_line_that_cannot_be_split_or_names_nothing_is_refused() {
    let (_, errors) = parse("dlc submit pytorchjob --command='a");
    assert!(errors[0].message.contains("no closing one"), "{errors:?}");
    let (_, errors) = parse("dlc submit");
    assert_eq!(errors[0].message, "`dlc submit` names no type of job");
    let (_, errors) = parse_with("dlc submit tfjob --job_file=job.txt", "name\n");
    assert_eq!(errors[0].message, "line 1 of the job file `job.txt` has no `=`");
}

#[test]
fn only_calls_of_dlc_are_command_lines() {
    let shell = |line: &str| is_submit_line(&CommandLine::Shell(line.to_owned()));
    assert!(shell("dlc submit pytorchjob"));
    assert!(shell(" /usr/local/bin/dlc -r cn-beijing --endpoint e submit tfjob"));
    assert!(is_submit_line(&CommandLine::Args(vec!["dlc".into(), "submit".into()])));
    for other in ["python3 train.py", "dlc get job", "cd x && dlc submit tfjob", "dlcx submit", ""] {
        assert!(!shell(other), "{other}");
    }
}

#[test]
fn every_flag_for_a_kind_of_node_goes_to_its_item() {
    for role in flags::ROLES {
        for (name, keys) in flags::ROLE_FLAGS {
            let count = if role.count == "chief" { "true" } else { "1" };
            let (line, errors) =
                parse(&format!("dlc submit tfjob --{}={count} --{}_{name}=v", role.count, role.prefix));
            assert_eq!(errors, []);
            let spec = &line.job["JobSpecs"][0];
            assert_eq!((spec["Type"].as_str(), spec["PodCount"].as_str()), (Some(role.kind), Some("1")));
            assert_eq!(spec.pointer(&format!("/{}", keys.join("/"))), Some(&json!("v")), "{name}");
        }
    }
}

#[test]
fn every_other_flag_of_the_table_is_in_the_tests() {
    let elsewhere = ["params_file", "job_file", "config", "access_id", "access_key", "region"];
    for (name, _) in flags::FLAGS {
        assert!(elsewhere.contains(name) || EVERY_FLAG.contains(&format!("--{name}")), "{name}");
    }
    for name in ["config", "access_id", "access_key"] {
        let (_, errors) = parse(&format!("dlc submit tfjob --{name}=planted"));
        assert_eq!(errors[0].code, crate::codes::PLAIN_SECRET);
        assert!(!format!("{errors:?}").contains("planted"));
    }
}
