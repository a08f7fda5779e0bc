//! When trials may start: a window of each day, or of the days of the weekend.
//!
//! What its times mean in a zone is the shell's business, which knows zones and clocks: it says when the window opens and
//! closes ([`crate::command::Command::SetWindow`]), and that is recorded.

use super::codes;
use super::reader::{Place, Reader};
use serde_json::{Value as Json, json};

/// The zone, unless the file names one.
const ZONE: &str = "UTC";
/// Longest name of a zone.
const MAX_ZONE_CHARS: usize = 64;

/// The days on which a window opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    /// Each day.
    Everyday,
    /// Saturday and Sunday.
    Weekend,
}

/// A window in which trials may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// On which days it opens.
    pub days: Days,
    /// When it opens, in minutes after midnight, 0 to 1439.
    pub from: u16,
    /// When it closes; on the next day if that is before `from`. A window of equal times is the whole day.
    pub to: u16,
    /// The zone of these times: a name of the IANA database, or `UTC`.
    pub zone: String,
}

/// Reads `schedule`; one that has mistakes is left out.
pub(super) fn read_schedule(reader: &mut Reader, place: Option<Place<'_>>) -> Option<Schedule> {
    let place = place?;
    let cure = "write, for example, {days: everyday, from: '22:00', to: '06:00', zone: Asia/Shanghai}";
    let mut fields = reader.fields(&place, "a map", cure)?;
    let words = [("everyday", Days::Everyday), ("weekend", Days::Weekend)];
    let days = fields.get("days").map_or(Some(Days::Everyday), |at| reader.word(&at, &words));
    let mut time = |key: &'static str| match fields.get(key) {
        Some(at) => read_time(reader, &at),
        None => {
            let message = format!("the schedule has no `{key}`");
            reader.fail(codes::MISSING_KEY, &place.path, message, cure);
            None
        }
    };
    let (from, to) = (time("from"), time("to"));
    let zone = fields.get("zone").map_or(Some(ZONE.to_owned()), |at| read_zone(reader, &at));
    fields.finish(reader);
    Some(Schedule { days: days?, from: from?, to: to?, zone: zone? })
}

fn read_time(reader: &mut Reader, place: &Place<'_>) -> Option<u16> {
    let text = reader.some_text(place)?;
    let minutes = minutes(text.trim());
    if minutes.is_none() {
        let message = "this is no time of the day";
        reader.fail(codes::BAD_TEXT, &place.path, message, "write hours and minutes from 00:00 to 23:59");
    }
    minutes
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| digits && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60).filter(|_| minutes.len() == 2)?)
}

fn read_zone(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.some_text(place)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if text.len() > MAX_ZONE_CHARS || !text.chars().all(fits) {
        let cure = "write a name such as Asia/Shanghai or UTC";
        reader.fail(codes::BAD_TEXT, &place.path, "this is no name of a time zone", cure);
        return None;
    }
    Some(text)
}

/// The recorded form.
pub(super) fn schedule_json(schedule: &Schedule) -> Json {
    let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let days = match schedule.days {
        Days::Everyday => "everyday",
        Days::Weekend => "weekend",
    };
    json!({"days": days, "from": time(schedule.from), "to": time(schedule.to), "zone": schedule.zone})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SpecError;
    use crate::spec::Spec;

    fn parse(schedule: &Json) -> Result<Spec, Vec<SpecError>> {
        let document = json!({
            "space": {"x": {"uniform": [0, 1]}}, "objective": "minimize", "budget": {"trials": 1}, "schedule": schedule,
        });
        Spec::parse(&document, "").map(|(spec, _)| spec)
    }

    #[test]
    fn a_schedule_is_read_and_recorded_so_that_it_reads_back() {
        let spec = parse(&json!({"days": "weekend", "from": "22:00", "to": "6:05", "zone": "Asia/Shanghai"}))
            .unwrap();
        let expected =
            Schedule { days: Days::Weekend, from: 1_320, to: 365, zone: "Asia/Shanghai".to_owned() };
        assert_eq!(spec.schedule.as_ref(), Some(&expected));
        assert_eq!(
            spec.canonical()["schedule"],
            json!({"days": "weekend", "from": "22:00", "to": "06:05", "zone": "Asia/Shanghai"})
        );
        assert_eq!(Spec::parse(&spec.canonical(), "").unwrap().0.schedule, spec.schedule);
        let short = parse(&json!({"from": "00:00", "to": "23:59"})).unwrap().schedule.unwrap();
        assert_eq!((short.days, short.zone.as_str()), (Days::Everyday, "UTC"));
        assert_eq!(parse(&json!(null)).unwrap().canonical().get("schedule"), None);
    }

    #[test]
    fn what_is_no_schedule_says_where() {
        for (schedule, path) in [
            (json!("22:00"), "schedule"),
            (json!({"from": "22:00"}), "schedule"),
            (json!({"from": "24:00", "to": "1:00"}), "schedule.from"),
            (json!({"from": "1:60", "to": "1:00"}), "schedule.from"),
            (json!({"from": "1:00", "to": "1:0"}), "schedule.to"),
            (json!({"from": "1:00", "to": "+1:00"}), "schedule.to"),
            (json!({"from": 22, "to": "1:00"}), "schedule.from"),
            (json!({"from": "1:00", "to": "2:00", "zone": "here now"}), "schedule.zone"),
            (json!({"from": "1:00", "to": "2:00", "days": "monday"}), "schedule.days"),
        ] {
            let errors = parse(&schedule).unwrap_err();
            assert_eq!(errors[0].path, path, "{schedule}: {errors:?}");
        }
    }
}
