//! What a call asks an instance to do, read from its XML.

use super::limits;
use super::pai::Parameters;
use super::refusal::Refusal;
use super::xml::{self, Element};
use std::collections::BTreeMap;

/// What an instance does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Statements.
    Sql {
        /// The statements.
        query: String,
        /// The settings.
        settings: BTreeMap<String, String>,
    },
    /// An algorithm.
    Xflow {
        /// Its name.
        algorithm: String,
        /// Its parameters.
        parameters: Parameters,
    },
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// What makes the instance unique.
    pub guid: Option<String>,
    /// The name of its job, by which it can be listed.
    pub job_name: Option<String>,
    /// The name of its task.
    pub task: String,
    /// 0 is most urgent.
    pub priority: i64,
    /// What is to be done.
    pub work: Work,
    /// The XML that shows what was submitted.
    pub source: String,
}

impl Submission {
    /// The `Type` of its task.
    pub fn kind(&self) -> &'static str {
        match self.work {
            Work::Sql { .. } => "SQL",
            Work::Xflow { .. } => "XFlow",
        }
    }
}

/// Reads the body of a call that creates an instance.
pub fn read(body: &[u8]) -> Result<Submission, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::body("it is not UTF-8"))?;
    let root = xml::parse(text).map_err(|error| Refusal::body(&error))?;
    if root.name != "Instance" {
        return Err(Refusal::body("its element is not Instance"));
    }
    let submission = match (root.child("Job"), root.child("XflowInstance")) {
        (Some(job), None) => sql(job, text)?,
        (None, Some(flow)) => xflow(flow, text)?,
        _ => return Err(Refusal::body("Instance has neither a Job nor an XflowInstance")),
    };
    if submission.priority < 0 {
        return Err(Refusal::parameter("Priority is negative"));
    }
    Ok(submission)
}

fn named(element: &Element, name: &str) -> Option<String> {
    element.value(name).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn priority(element: &Element) -> Result<i64, Refusal> {
    let Some(text) = named(element, "Priority") else { return Ok(9) };
    text.parse().map_err(|_| Refusal::parameter("Priority is no number"))
}

/// The settings of a `Config` element.
fn settings(element: &Element) -> Result<BTreeMap<String, String>, Refusal> {
    let pairs = element.child("Config").map(|config| config.pairs("Property", "Name", "Value"));
    let given = pairs.unwrap_or_default().into_iter().find(|(name, _)| name == "settings");
    let Some((_, text)) = given else { return Ok(BTreeMap::new()) };
    let texts: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text)
        .map_err(|error| Refusal::parameter(&format!("settings are not an object of JSON: {error}")))?;
    let plain = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(texts.into_iter().map(|(name, value)| (name, plain(value))).collect())
}

fn sql(job: &Element, text: &str) -> Result<Submission, Refusal> {
    let tasks = job.child("Tasks").map(|tasks| tasks.children.as_slice()).unwrap_or_default();
    let [task] = tasks else {
        return Err(Refusal::body(&format!("there are {} tasks, and one is simulated", tasks.len())));
    };
    if task.name != "SQL" {
        return Err(Refusal::body(&format!("a task of the kind {} is not simulated", task.name)));
    }
    let query = task.child("Query").map(|query| query.text.clone()).unwrap_or_default();
    if query.trim().is_empty() {
        return Err(Refusal::body("Query is missing"));
    }
    if query.len() > limits::SQL_BYTES {
        return Err(Refusal::parameter(&format!("Query has more than {} bytes", limits::SQL_BYTES)));
    }
    // The element as it was sent; the text was read before, so that both ends are there.
    let whole = text.find("<Job").zip(text.rfind("</Job>")).and_then(|(from, to)| text.get(from..to));
    Ok(Submission {
        guid: named(job, "Guid"),
        job_name: named(job, "Name"),
        task: named(task, "Name").ok_or_else(|| Refusal::body("the task has no Name"))?,
        priority: priority(job)?,
        work: Work::Sql { query, settings: settings(task)? },
        source: format!("<?xml version=\"1.0\"?>\n{}</Job>", whole.unwrap_or("<Job>")),
    })
}

fn xflow(flow: &Element, text: &str) -> Result<Submission, Refusal> {
    let needed = |name: &str| named(flow, name).ok_or_else(|| Refusal::body(&format!("{name} is missing")));
    if flow.value("RunningMode") == Some("estimate") {
        return Err(Refusal::parameter("RunningMode estimate is not simulated"));
    }
    needed("Project")?;
    let parameters = flow.child("Parameters").map(|all| all.pairs("Parameter", "Key", "Value"));
    Ok(Submission {
        guid: named(flow, "Guid"),
        job_name: settings(flow)?.remove("odps.task.workflow.custom_job_name"),
        task: "xflow".to_owned(),
        priority: priority(flow)?,
        work: Work::Xflow {
            algorithm: needed("Xflow")?,
            parameters: Parameters::new(parameters.unwrap_or_default()),
        },
        source: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_and_shown_as_it_was_sent() {
        let text = "<?xml version=\"1.0\"?>\n<Instance>\n <Job><Name>j</Name><Priority>3</Priority><Guid>g</Guid><Tasks><SQL>\
                    <Name>AnonymousSQLTask</Name><Config><Property><Name>settings</Name><Value>{\"a\": true, \"b\": \"1\"}\
                    </Value></Property></Config><Query><![CDATA[select '</Job>';]]></Query></SQL></Tasks></Job></Instance>";
        let read = read(text.as_bytes()).unwrap();
        assert_eq!(
            (read.guid.as_deref(), read.job_name.as_deref(), read.priority),
            (Some("g"), Some("j"), 3)
        );
        let Work::Sql { query, settings } = &read.work else { panic!("{read:?}") };
        assert_eq!(query, "select '</Job>';");
        assert_eq!((settings["a"].as_str(), settings["b"].as_str()), ("true", "1"));
        let shown = xml::parse(&read.source).unwrap();
        assert_eq!((shown.name.as_str(), shown.value("Guid")), ("Job", Some("g")));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (text, code) in [
            ("<Instance>", "MalformedXML"),
            ("<Other/>", "MalformedXML"),
            ("<Instance><Job><Tasks/></Job></Instance>", "MalformedXML"),
            ("<Instance><Job><Tasks><Merge><Name>m</Name></Merge></Tasks></Job></Instance>", "MalformedXML"),
            ("<Instance><XflowInstance><Xflow>kmeans</Xflow></XflowInstance></Instance>", "MalformedXML"),
            (
                "<Instance><XflowInstance><Project>p</Project><Xflow>k</Xflow><Priority>-1</Priority></XflowInstance></Instance>",
                "InvalidParameter",
            ),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().code, code, "{text}");
        }
    }
}
