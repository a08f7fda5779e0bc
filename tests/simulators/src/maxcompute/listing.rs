//! Lists of instances, in pages.

use super::instance::Instance;
use super::limits;
use super::picture;
use super::refusal::Refusal;
use super::reply::Reply;
use super::service::Operation;
use super::world::World;

/// Lists a project's instances, the oldest first. (No document says in which order the service lists them.)
pub fn list(world: &World, operation: &Operation, owner: &str, now_ms: i64) -> Result<Reply, Refusal> {
    let get = |name: &str| operation.query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let seconds = |text: &str| -> Result<Option<i64>, Refusal> {
        let number = || text.parse().map_err(|_| Refusal::parameter("daterange is not two times in seconds"));
        if text.is_empty() { Ok(None) } else { number().map(Some) }
    };
    let (from, to) = match get("daterange") {
        Some(range) => {
            let (from, to) = range.split_once(':').unwrap_or((range, ""));
            (seconds(from)?, seconds(to)?)
        }
        None => (None, None),
    };
    let number = |name: &str, default: usize| {
        get(name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| Refusal::parameter(&format!("{name} is no number")))
        })
    };
    let size: usize = number("maxitems", limits::PAGE)?.clamp(1, limits::PAGE);
    let first: usize = number("marker", 0)?;
    let fits = |instance: &Instance| {
        let created = instance.created_ms.div_euclid(1000);
        instance.project.eq_ignore_ascii_case(&operation.project)
            && instance.created_ms + world.script.list_lag_ms <= now_ms
            && get("status").is_none_or(|status| status.eq_ignore_ascii_case(instance.status.instance()))
            && from.is_none_or(|from| created >= from)
            && to.is_none_or(|to| created < to)
            && (get("onlyowner") != Some("yes") || instance.owner == owner)
            && get("jobname").is_none_or(|name| instance.submission.job_name.as_deref() == Some(name))
    };
    // The marker is the number of the instance from which on the next page is: new ones come behind it.
    let mut page = Vec::new();
    let mut marker = String::new();
    for (at, instance) in
        world.instances().iter().enumerate().skip(first).filter(|(_, instance)| fits(instance))
    {
        if page.len() == size {
            marker = at.to_string();
            break;
        }
        page.push(picture::listed(instance));
    }
    Ok(Reply::xml(&format!(
        "<Instances><Marker>{marker}</Marker><MaxItems>{size}</MaxItems>{}</Instances>",
        page.concat()
    )))
}
