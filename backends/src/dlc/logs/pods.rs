//! Which pod's output is the trial's.

use crate::dlc::model::Pod;

/// The roles of which one has rank 0, the first that there is. DLC makes the first worker the master where a job asks
/// for no master, and names it so.
const LEADERS: [&str; 5] = ["master", "chief", "head", "launcher", "worker"];

/// The pod of rank 0: of the first role of `LEADERS` that the job has, the one whose name ends in the smallest number.
/// Where it has none of these roles, the smallest number of all. Roles are compared in any case.
pub fn leader(pods: &[Pod]) -> Option<&Pod> {
    pods.iter().min_by_key(|pod| {
        let role = pod.role.to_lowercase();
        let rank = LEADERS.iter().position(|leader| *leader == role).unwrap_or(LEADERS.len());
        (rank, number(&pod.pod_id), pod.pod_id.clone())
    })
}

/// The number at the end of a pod's name.
fn number(pod_id: &str) -> u64 {
    pod_id.rsplit('-').next().and_then(|end| end.parse().ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlc::model::Job;
    use serde_json::{Value, json};

    fn chosen(pods: &[(&str, &str)]) -> Option<String> {
        let pods: Vec<Value> = pods.iter().map(|(id, role)| json!({"PodId": id, "Type": role})).collect();
        leader(&Job::read(&json!({"Pods": pods})).pods).map(|pod| pod.pod_id.clone())
    }

    #[test]
    fn the_pod_of_rank_0_is_found_by_role_and_then_by_number() {
        for (pods, expected) in [
            (vec![("j-worker-0", "worker"), ("j-master-0", "Master")], "j-master-0"),
            (vec![("j-worker-10", "Worker"), ("j-worker-2", "Worker"), ("j-ps-0", "PS")], "j-worker-2"),
            (
                vec![("j-worker-0", "Worker"), ("j-chief-0", "Chief"), ("j-evaluator-0", "Evaluator")],
                "j-chief-0",
            ),
            (vec![("j-aimaster-0", "AIMaster"), ("j-worker-0", "worker")], "j-worker-0"),
            (vec![("j-worker-gpu-0", "Worker-gpu"), ("j-head-0", "Head")], "j-head-0"),
            (vec![("j-x-1", "New"), ("j-x-0", "New"), ("odd", "New")], "j-x-0"),
        ] {
            assert_eq!(chosen(&pods).as_deref(), Some(expected), "{pods:?}");
        }
        assert_eq!(chosen(&[]), None);
    }
}
