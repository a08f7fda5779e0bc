//! When the window of a schedule opens and closes: what its times mean in its zone, summer time included.
//!
//! The core knows no zones. It is told by [`engine::command::Command::SetWindow`], so that a replay needs no table of zones, and the
//! change of a table changes no history.

use engine::error::SpecError;
use engine::spec::{Days, Schedule, Spec, codes};
use engine::state::Window;
use engine::time::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Moment};

/// How many days ahead the next window is looked for: one of a weekend is at most six away.
const DAYS_AHEAD: i64 = 8;

/// The mistakes of a specification's schedule that only who knows zones can find.
pub fn check(spec: &Spec) -> Vec<SpecError> {
    let unknown = |schedule: &&Schedule| zone(&schedule.zone).is_none();
    let told = |schedule: &Schedule| {
        let message = format!("there is no time zone `{}`", schedule.zone);
        let cure = "write a name of the IANA database, such as Asia/Shanghai, or UTC";
        SpecError::new(codes::UNKNOWN_WORD, "schedule.zone", message, cure)
    };
    spec.schedule.iter().filter(unknown).map(told).collect()
}

/// How a window stands at a time, and until when. That of a zone that is not known here is closed.
pub fn window(schedule: &Schedule, at: Timestamp) -> Window {
    find(schedule, at).unwrap_or(Window { open: false, until: None })
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("UTC") { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() }
}

fn find(schedule: &Schedule, at: Timestamp) -> Option<Window> {
    let zone = zone(&schedule.zone)?;
    if schedule.days == Days::Everyday && schedule.from == schedule.to {
        return Some(Window { open: true, until: None });
    }
    let today = zone.to_datetime(Moment::from_millisecond(at.0).ok()?).date();
    // What began yesterday may go on.
    let mut current: Option<(i64, i64)> = None;
    for ahead in -1..=DAYS_AHEAD {
        let day = today.checked_add(Span::new().days(ahead)).ok()?;
        if !opens(schedule.days, day) {
            continue;
        }
        let (start, end) = of_day(schedule, day, &zone)?;
        if start >= end {
            // A change of the clocks has skipped it.
            continue;
        }
        match &mut current {
            // One that begins where the other ends is the same window.
            Some((_, until)) if start <= *until => *until = end.max(*until),
            Some((_, until)) if at.0 < *until => break,
            _ => current = Some((start, end)),
        }
    }
    let (start, end) = current.filter(|(_, end)| at.0 < *end)?;
    let open = start <= at.0;
    Some(Window { open, until: Some(Timestamp(if open { end } else { start })) })
}

fn opens(days: Days, day: Date) -> bool {
    days == Days::Everyday || matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The window that opens on a day, in milliseconds.
fn of_day(schedule: &Schedule, day: Date, zone: &TimeZone) -> Option<(i64, i64)> {
    let moment = |day: Date, minutes: u16| {
        let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
        // A time that a change of the clocks skips is the one after it.
        Some(zone.to_timestamp(day.at(hour, minute, 0, 0)).ok()?.as_millisecond())
    };
    let last = if schedule.to > schedule.from { day } else { day.tomorrow().ok()? };
    Some((moment(day, schedule.from)?, moment(last, schedule.to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(days: Days, from: &str, to: &str, zone: &str) -> Schedule {
        let minutes = |text: &str| {
            let (hours, minutes) = text.split_once(':').unwrap();
            hours.parse::<u16>().unwrap() * 60 + minutes.parse::<u16>().unwrap()
        };
        Schedule { days, from: minutes(from), to: minutes(to), zone: zone.to_owned() }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<Moment>().unwrap().as_millisecond())
    }

    #[track_caller]
    fn stands(schedule: &Schedule, now: &str, open: bool, until: &str) {
        assert_eq!(window(schedule, at(now)), Window { open, until: Some(at(until)) }, "at {now}");
    }

    #[test]
    fn a_window_over_midnight_is_open_on_both_sides_of_it() {
        let night = schedule(Days::Everyday, "22:00", "06:00", "UTC");
        stands(&night, "2026-11-26T21:59:59.999Z", false, "2026-11-26T22:00:00Z");
        stands(&night, "2026-11-26T22:00:00Z", true, "2026-11-27T06:00:00Z");
        stands(&night, "2026-11-27T05:59:59.999Z", true, "2026-11-27T06:00:00Z");
        stands(&night, "2026-11-27T06:00:00Z", false, "2026-11-27T22:00:00Z");
    }

    #[test]
    fn times_are_those_of_the_zone() {
        let noon = schedule(Days::Everyday, "12:00", "13:00", "Asia/Shanghai");
        stands(&noon, "2026-11-26T03:00:00Z", false, "2026-11-26T04:00:00Z");
        stands(&noon, "2026-11-26T04:30:00Z", true, "2026-11-26T05:00:00Z");
    }

    #[test]
    fn a_window_of_equal_times_is_the_whole_day() {
        let always = schedule(Days::Everyday, "08:00", "08:00", "UTC");
        assert_eq!(window(&always, at("2026-11-26T07:00:00Z")), Window { open: true, until: None });
        // Sunday the 29th ends on Monday at eight.
        let weekend = schedule(Days::Weekend, "08:00", "08:00", "UTC");
        stands(&weekend, "2026-11-26T07:00:00Z", false, "2026-11-28T08:00:00Z");
        stands(&weekend, "2026-11-28T09:00:00Z", true, "2026-11-30T08:00:00Z");
        stands(&weekend, "2026-11-30T07:59:00Z", true, "2026-11-30T08:00:00Z");
        stands(&weekend, "2026-11-30T08:00:00Z", false, "2026-12-05T08:00:00Z");
    }

    #[test]
    fn a_window_of_the_weekend_belongs_to_the_day_on_which_it_opens() {
        let nights = schedule(Days::Weekend, "22:00", "06:00", "UTC");
        stands(&nights, "2026-11-28T01:00:00Z", false, "2026-11-28T22:00:00Z");
        stands(&nights, "2026-11-29T23:00:00Z", true, "2026-11-30T06:00:00Z");
        stands(&nights, "2026-11-30T06:00:00Z", false, "2026-12-05T22:00:00Z");
    }

    #[test]
    fn summer_time_moves_the_window_and_what_it_skips_begins_after_it() {
        // In Berlin 02:00 became 03:00 on 2026-03-29.
        let morning = schedule(Days::Everyday, "02:30", "05:00", "Europe/Berlin");
        stands(&morning, "2026-03-28T00:00:00Z", false, "2026-03-28T01:30:00Z");
        stands(&morning, "2026-03-29T00:00:00Z", false, "2026-03-29T01:30:00Z");
        stands(&morning, "2026-03-29T02:00:00Z", true, "2026-03-29T03:00:00Z");
        stands(&morning, "2026-03-29T04:00:00Z", false, "2026-03-30T00:30:00Z");
        // A window that is skipped whole does not open that day.
        let skipped = schedule(Days::Everyday, "02:10", "03:05", "Europe/Berlin");
        stands(&skipped, "2026-03-28T12:00:00Z", false, "2026-03-30T00:10:00Z");
    }

    #[test]
    fn a_zone_that_is_not_known_is_a_mistake_and_closed() {
        let document = serde_json::json!({
            "space": {"x": {"uniform": [0, 1]}}, "objective": "minimize", "budget": {"trials": 1},
            "schedule": {"from": "22:00", "to": "06:00", "zone": "Asia/Shangai"},
        });
        let spec = Spec::parse(&document, "").unwrap().0;
        assert_eq!(check(&spec)[0].path, "schedule.zone");
        let closed = Window { open: false, until: None };
        assert_eq!(window(spec.schedule.as_ref().unwrap(), at("2026-11-26T23:00:00Z")), closed);
    }
}
