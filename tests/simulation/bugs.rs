//! Planted bugs, none of them in the program itself: in the driver of the simulation, in a wrapped disk, in a damaged
//! snapshot.

use super::is_noticed;
use super::run::Bug;

#[test]
fn an_answer_before_its_record_is_durable_is_noticed() {
    is_noticed(Bug::AnswersEarly, 100, &["was acknowledged"]);
}

#[test]
fn a_submission_before_its_intent_is_durable_is_noticed() {
    is_noticed(Bug::SubmitsEarly, 300, &["started twice", "nothing is known of", "was acknowledged"]);
}

#[test]
fn a_submission_without_looking_for_the_first_one_is_noticed() {
    is_noticed(Bug::NeverLooks, 100, &["started twice"]);
}

#[test]
fn a_lost_timer_is_noticed() {
    is_noticed(Bug::LosesTimers, 100, &["does not end"]);
}

#[test]
fn a_late_result_that_counts_for_another_attempt_is_noticed() {
    is_noticed(Bug::CountsLateResults, 100, &["the truth is", "outlives", "run at once"]);
}

#[test]
fn an_index_that_is_lost_in_recovery_is_noticed() {
    is_noticed(Bug::LosesAnIndex, 100, &["recovered"]);
}

#[test]
fn reports_that_count_twice_are_noticed() {
    is_noticed(Bug::CountsReportsTwice, 100, &["reports"]);
}

#[test]
fn a_disk_that_lies_is_noticed() {
    is_noticed(Bug::DiskLies, 100, &["was acknowledged"]);
}

#[test]
fn a_record_that_changes_on_disk_is_noticed() {
    is_noticed(Bug::DiskForges, 100, &["differs from what was written", "cannot be applied"]);
}

#[test]
fn a_sampler_that_forgets_a_trial_in_recovery_is_noticed() {
    is_noticed(Bug::ForgetsATrial, 100, &["another point", "recovered"]);
}
