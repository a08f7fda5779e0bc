//! How much of the reasons of troubles is told to whom. Begin with [`told`].
//!
//! Reasons are written for whoever runs the daemon: they may name files, variables, profiles and keys of its machine. To others only that
//! is told which is known to come from a service or from the experiment; nothing is taken out of a text, since something may be forgotten.

use crate::http::access::{Identity, Role};
use crate::runtime::Trouble;
use backends::cloud::codes;
use engine::error::Code;
use engine::state::{Experiment, State};

/// What is told to whoever may act on an experiment, and is no admin, in place of a reason.
const FOR_ADMINS: &str = "why is told to admins only, since it may tell of the daemon's machine; ask one";
/// Failures whose first line is the service's answer to a call, and says nothing else.
const ANSWERS: [Code; 7] = [
    codes::REQUEST_TOO_LARGE,
    codes::THROTTLED,
    codes::REQUEST_REFUSED,
    codes::TOKEN_REFUSED,
    codes::NO_PERMISSION,
    codes::NOT_FOUND,
    codes::PENDING,
];

/// The troubles of an experiment as they are told to somebody who sees it: to admins in full, to its creator with the code and what a
/// service answered, and to others without a reason.
pub(super) fn told(
    who: &Identity,
    state: &State,
    experiment: &Experiment,
    mut troubles: Vec<Trouble>,
) -> Vec<Trouble> {
    if who.role == Role::Admin {
        return troubles;
    }
    let creator = who.owns(state, experiment);
    for trouble in &mut troubles {
        trouble.reason = match trouble.backend {
            _ if !creator => String::new(),
            Some(_) => answered(&trouble.reason),
            // Of the search, which knows of nothing but the experiment.
            None => std::mem::take(&mut trouble.reason),
        };
    }
    troubles
}

/// Of a reason its code, and what the service answered, if it did.
fn answered(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let mut codes = line.match_indices('E').filter_map(|(at, _)| Some((at, code_at(line.get(at..)?)?)));
    let Some((at, code)) = codes.next() else { return FOR_ADMINS.to_owned() };
    // Where there are several failures, only one of them is the service's.
    if ANSWERS.contains(&code) && codes.next().is_none() {
        return line.get(at..).unwrap_or_default().to_owned();
    }
    format!("{code}: {FOR_ADMINS}")
}

/// The code that a text begins with, as in `E0526: no`.
fn code_at(text: &str) -> Option<Code> {
    let digits = text.strip_prefix('E')?.split_once(": ")?.0;
    let number = digits.parse().ok().filter(|_| digits.len() == 4);
    number.map(Code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_reason_only_what_a_service_answered_is_told() {
        let whole = "E0526: CreateJob: the permission is missing: denied (NoPermission, HTTP 403)";
        assert_eq!(answered(&format!("{whole}\n  = help: see /home/planted")), whole);
        assert_eq!(answered(&format!("failed to read /home/planted: {whole}")), whole);
        for (reason, begins) in [
            ("E0525: CreateJob: dlc does not accept the access key ending in planted: no", "E0525: why"),
            (
                "E0570: no credentials: PLANTED is not set; /home/planted has the profiles planted",
                "E0570: why",
            ),
            ("E0526: no; E0570: /home/planted", "E0526: why"),
            ("failed to make /home/planted: no room", "why"),
            ("E526: planted", "why"),
            ("EÄ: planted", "why"),
            ("", "why"),
        ] {
            let told = answered(reason);
            assert!(told.starts_with(begins) && !told.contains("lanted"), "{reason} gives {told}");
        }
    }
}
