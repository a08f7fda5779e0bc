//! What a task's command is as an instance: SQL statements, or one `PAI` line. Begin with [`parse`].
//!
//! Leading `SET name=value;` lines are settings. They stay in the text of SQL, as in that of the official client. All
//! mistakes of a command are told at once, each with its line and column.

use crate::maxcompute::codes;
use crate::maxcompute::job::{Job, LEAST_PRIORITY, SQL_BOUND, Settings, SqlJob};
use crate::maxcompute::pai::{self, JOB_NAME};
use crate::maxcompute::text::{Statement, Unclosed, is_pai, place, statements, unsendable};
use engine::error::SpecError;

/// The setting of script mode, in which several statements are one task.
const MODE: &str = "odps.sql.submit.mode";
/// The setting of the quota that a task takes its resources from.
const QUOTA: &str = "odps.task.wlm.quota";
/// The setting of the default schema, after two that let there be schemas at all.
const SCHEMA: &str = "odps.default.schema";
const SCHEMAS: [&str; 2] = ["odps.sql.allow.namespace.schema", "odps.namespace.schema"];
/// The setting of the priority, which is said elsewhere as well.
const PRIORITY: &str = "odps.instance.priority";
/// What only the command line client does.
const CLIENT_COMMANDS: &[&str] = &["add", "kill", "quit", "tunnel", "use", "wait", "whoami"];

/// What holds for all commands, unless they say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The project that they run in.
    pub project: String,
    /// Settings of every task.
    pub settings: Settings,
    /// 0 to 9, the least urgent.
    pub priority: Option<u32>,
    /// Where resources are taken from.
    pub quota: Option<String>,
    /// The schema of names without one.
    pub schema: Option<String>,
    /// Whether several statements may be one task.
    pub script: bool,
    /// A label to list instances by.
    pub name: Option<String>,
}

impl Defaults {
    fn settings(&self) -> Settings {
        let mut all = Settings::new();
        let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
        if let Some(schema) = &self.schema {
            for name in SCHEMAS {
                set(name, "true");
            }
            set(SCHEMA, schema);
        }
        if let Some(quota) = &self.quota {
            set(QUOTA, quota);
        }
        if self.script {
            set(MODE, "script");
        }
        all.extend(self.settings.clone());
        all
    }
}

/// A command that is being read.
struct Reader<'a> {
    text: &'a str,
    path: &'a str,
    errors: Vec<SpecError>,
}

/// The instance that a command is to be, still without a name for the submission. `path` is where the command stands.
pub fn parse(text: &str, defaults: &Defaults, path: &str) -> Result<Job, Vec<SpecError>> {
    let mut reader = Reader { text, path, errors: Vec::new() };
    let job = reader.job(defaults);
    match job {
        Some(job) if reader.errors.is_empty() => Ok(job),
        _ => Err(reader.errors),
    }
}

impl Reader<'_> {
    fn fail(&mut self, at: usize, message: impl AsRef<str>, cure: impl Into<String>) {
        let message = format!("{}: {}", place(self.text, at), message.as_ref());
        self.errors.push(SpecError::new(codes::BAD_COMMAND, self.path, message, cure));
    }

    fn job(&mut self, defaults: &Defaults) -> Option<Job> {
        if let Some(at) = unsendable(self.text) {
            self.fail(at, "there is a control character, which cannot be sent", "remove it");
        }
        if self.text.len() > SQL_BOUND {
            let message = format!("the command has {} bytes, more than {SQL_BOUND}", self.text.len());
            self.fail(0, message, "keep long lists in a table");
        }
        let (statements, in_comment) = match statements(self.text) {
            Ok(read) => read,
            Err(Unclosed { mark, at }) => {
                let message = if mark == "/*" {
                    "a comment that begins with `/*` is not closed".to_owned()
                } else {
                    format!("an opening {mark} has no closing one")
                };
                self.fail(
                    at,
                    message,
                    "close it; within quotes, `\\` goes before a quote that closes nothing",
                );
                return None;
            }
        };
        let mut settings = defaults.settings();
        let sets = statements.iter().take_while(|one| self.set(one, &mut settings)).count();
        let priority = self.priority(&settings, defaults);
        let rest = statements.get(sets..).unwrap_or_default();
        let Some(first) = rest.first() else {
            let message =
                if sets > 0 { "there are settings and nothing to run" } else { "there is nothing to run" };
            self.fail(0, message, "write SQL statements, or a `PAI -name ...` line");
            return None;
        };
        if is_pai(self.content(first)) {
            return self.xflow(first, rest, settings, priority, defaults);
        }
        for one in rest {
            self.refuse_other_kinds(one);
        }
        if let [_, second, ..] = rest
            && settings.get(MODE).map(String::as_str) != Some("script")
        {
            self.fail(
                second.content.start,
                format!("there are {} statements, and a task is one", rest.len()),
                "make commands of them, or one task with `script: true` or `SET odps.sql.submit.mode=script;`",
            );
        }
        let mut query = self.text.trim_end().to_owned();
        if rest.last().is_some_and(|last| !last.closed) {
            // A comment would swallow the semicolon.
            query.push_str(if in_comment { "\n;" } else { ";" });
        }
        let priority = priority.unwrap_or(LEAST_PRIORITY);
        Some(Job::Sql(SqlJob { name: defaults.name.clone(), priority, guid: None, settings, query }))
    }

    fn content(&self, statement: &Statement) -> &str {
        self.text.get(statement.content.clone()).unwrap_or_default()
    }

    /// Whether this is a `SET` line; its setting is added then.
    fn set(&self, statement: &Statement, settings: &mut Settings) -> bool {
        let content = self.content(statement);
        let (word, rest) = content.split_at_checked(3).unwrap_or((content, ""));
        if !word.eq_ignore_ascii_case("set") || !rest.starts_with(char::is_whitespace) {
            return false;
        }
        let Some((name, value)) = rest.split_once('=') else { return false };
        let name = name.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(fits) {
            return false;
        }
        settings.insert(name.to_owned(), value.trim().to_owned());
        true
    }

    fn priority(&mut self, settings: &Settings, defaults: &Defaults) -> Option<u32> {
        let Some(text) = settings.get(PRIORITY) else { return defaults.priority };
        let read = text.parse().ok().filter(|priority| *priority <= LEAST_PRIORITY);
        if read.is_none() {
            let message = format!("`{PRIORITY}` is `{text}`, and no number from 0 to {LEAST_PRIORITY}");
            self.fail(0, message, "0 is the most urgent");
        }
        read
    }

    fn xflow(
        &mut self,
        line: &Statement,
        rest: &[Statement],
        mut settings: Settings,
        priority: Option<u32>,
        defaults: &Defaults,
    ) -> Option<Job> {
        if let [_, second, ..] = rest {
            self.fail(
                second.content.start,
                "a PAI line is a task of its own",
                "make commands of what follows it",
            );
        }
        // What is said of SQL means nothing here.
        settings.remove(MODE);
        settings.remove(PRIORITY);
        if let Some(name) = &defaults.name {
            settings.entry(JOB_NAME.to_owned()).or_insert_with(|| name.clone());
        }
        match pai::read(self.content(line), &defaults.project, settings) {
            Ok(mut job) => {
                job.priority = priority;
                Some(Job::Xflow(job))
            }
            Err(mistakes) => {
                for mistake in mistakes {
                    self.fail(line.content.start + mistake.at, mistake.message, mistake.cure);
                }
                None
            }
        }
    }

    /// Some commands are neither SQL nor PAI, or SQL that is another kind of task.
    fn refuse_other_kinds(&mut self, statement: &Statement) {
        let at = statement.content.start;
        let words: Vec<String> =
            self.content(statement).split_whitespace().take(8).map(str::to_ascii_lowercase).collect();
        let first = words.first().map(String::as_str).unwrap_or_default();
        if CLIENT_COMMANDS.contains(&first) {
            let message = format!("`{first}` is a command of MaxCompute's command line client, and no SQL");
            self.fail(at, message, "do it there, before the experiment");
        } else if first == "pai" {
            self.fail(at, "a PAI line is a task of its own", "make a command of it");
        } else if first == "alter" && words.iter().any(|word| ["merge", "archive"].contains(&word.as_str())) {
            let cure = "run it in the console of MaxCompute";
            self.fail(at, "merging or archiving the files of a table is no SQL task", cure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn defaults() -> Defaults {
        Defaults { project: "p".to_owned(), ..Defaults::default() }
    }

    fn sql(text: &str, defaults: &Defaults) -> SqlJob {
        match parse(text, defaults, "run.command") {
            Ok(Job::Sql(job)) => job,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn messages(text: &str) -> Vec<String> {
        let errors = parse(text, &defaults(), "run.command").unwrap_err();
        assert!(errors.iter().all(|error| error.code == codes::BAD_COMMAND && !error.cure.is_empty()));
        errors.into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn a_statement_is_closed_where_it_ends_whatever_comes_after() {
        for (text, query) in [
            ("select 1", "select 1;"),
            ("select 1 ; \n", "select 1 ;"),
            ("select 1 -- one;", "select 1 -- one;\n;"),
            ("select 1 -- one\n", "select 1 -- one\n;"),
            ("select 1; -- one", "select 1; -- one"),
            ("select ';' /* ; */", "select ';' /* ; */;"),
            ("select 'a ]]> b'", "select 'a ]]> b';"),
        ] {
            assert_eq!(sql(text, &defaults()).query, query, "{text}");
        }
    }

    #[test]
    fn leading_set_lines_are_settings_and_stay_in_the_text() {
        let text =
            "set odps.sql.mapper.split.size=16;\nSET  odps.sql.submit.mode = script ;\nselect 1; select 2";
        let job = sql(text, &defaults());
        let expected = [("odps.sql.mapper.split.size", "16"), (MODE, "script")];
        assert_eq!(job.settings, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!(job.query, format!("{text};"));
        assert_eq!(sql("set odps.instance.priority=3; select 1", &defaults()).priority, 3);
        assert_eq!(sql("settle", &defaults()).settings, Settings::new());
    }

    #[test]
    fn what_holds_for_all_commands_is_said_in_the_settings_and_overruled_by_them() {
        let all = Defaults {
            settings: [("a".to_owned(), "1".to_owned())].into(),
            priority: Some(2),
            quota: Some("q1".to_owned()),
            schema: Some("s".to_owned()),
            script: true,
            name: Some("exp1".to_owned()),
            ..defaults()
        };
        let job = sql("set a=2; select 1; select 2;", &all);
        let expected = [
            ("a", "2"),
            (SCHEMA, "s"),
            (SCHEMAS[0], "true"),
            (SCHEMAS[1], "true"),
            (MODE, "script"),
            (QUOTA, "q1"),
        ];
        assert_eq!(job.settings, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!((job.priority, job.name.as_deref()), (2, Some("exp1")));
        let Ok(Job::Xflow(flow)) = parse("set a=3;\nPAI -name kmeans -DinputTableName=t;", &all, "c") else {
            panic!("no run of an algorithm")
        };
        assert_eq!((flow.settings["a"].as_str(), flow.settings[JOB_NAME].as_str()), ("3", "exp1"));
        assert_eq!((flow.priority, flow.parameters[0].1.as_str()), (Some(2), "p.t"));
        let whole = "PAI --name x -Da=oss://b/*.csv -Db=p--q -Dc=`; -- done";
        let Ok(Job::Xflow(flow)) = parse(whole, &all, "c") else { panic!("no run of an algorithm") };
        let values: Vec<&str> = flow.parameters.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["oss://b/*.csv", "p--q", "`"]);
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_column() {
        for (text, expected) in [
            ("", vec!["line 1, column 1: there is nothing to run"]),
            (" -- only\n", vec!["line 1, column 1: there is nothing to run"]),
            ("set a=1;", vec!["line 1, column 1: there are settings and nothing to run"]),
            ("select 1;\nselect 2", vec!["line 2, column 1: there are 2 statements, and a task is one"]),
            ("select\n 'a", vec!["line 2, column 2: an opening ' has no closing one"]),
            ("select /* a", vec!["line 1, column 8: a comment that begins with `/*` is not closed"]),
            ("select '\u{1}'", vec!["line 1, column 9: there is a control character, which cannot be sent"]),
            (
                "set odps.instance.priority=10; tunnel upload x",
                vec![
                    "line 1, column 1: `odps.instance.priority` is `10`, and no number from 0 to 9",
                    "line 1, column 32: `tunnel` is a command of MaxCompute's command line client, and no SQL",
                ],
            ),
            (
                "ALTER TABLE t MERGE SMALLFILES",
                vec!["line 1, column 1: merging or archiving the files of a table is no SQL task"],
            ),
            (
                "-- ü\n  PAI -nam x;\npai -name b",
                vec![
                    "line 3, column 1: a PAI line is a task of its own",
                    "line 2, column 7: `-nam` is no option of a PAI line",
                    "line 2, column 12: `x` belongs to no option",
                    "line 2, column 3: the line names no algorithm",
                ],
            ),
        ] {
            assert_eq!(messages(text), expected, "{text}");
        }
        assert!(messages(&format!("select '{}'", "x".repeat(SQL_BOUND)))[0].contains("more than 2097152"));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_closed_and_can_be_sent(text in "(select|PAI|set| a=1|;|'|--|/\\*|\\*/|\n| |\\PC){0,20}") {
            if let Ok(Job::Sql(job)) = parse(&text, &Defaults { script: true, ..defaults() }, "c") {
                let (statements, _) = statements(&job.query).unwrap();
                prop_assert!(statements.iter().all(|one| one.closed));
                let sent = crate::cloud::xml::Element::parse(&Job::Sql(job.clone()).document()).unwrap();
                prop_assert_eq!(&sent.find("Query").unwrap().text, &job.query);
            }
        }
    }
}
