//! Reads `PAI -name ALGORITHM -project PROJECT -Dname=value ...` lines as the command line client of MaxCompute does.
//! Begin with [`read`].
//!
//! The service does not know these lines: whoever sends them as SQL is refused. They become runs of an algorithm.

use crate::maxcompute::job::{Settings, XflowJob};
use crate::maxcompute::text::{quoted, unsendable};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where algorithms are unless a line says otherwise.
const ALGORITHMS: &str = "algo_public";
/// Parameters that the command line client keeps to itself.
const NOT_SENT: &[&str] = &["serviceSelection", "dlcParameters", "tableTokenLife"];
/// Tables that get the project's name in front.
const TABLES: &[&str] = &["inputTableName", "outputTableName"];
/// The model, which gets the place of the project's models in front.
const MODEL: &str = "modelName";
/// The setting with the label of a run.
pub(super) const JOB_NAME: &str = "odps.task.workflow.custom_job_name";
/// The setting with the data that a run comes from and leads to.
const LINEAGE: &str = "pai.lineage";
/// Options of a line.
const OPTIONS: &[&str] = &["name", "project", "lineage", "jobname", "cost", "D"];

/// A mistake in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where, in bytes from the beginning of the line.
    pub(super) at: usize,
    /// What.
    pub(super) message: String,
    /// What to do about it.
    pub(super) cure: String,
}

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    at: usize,
    text: String,
    /// Whether it begins with a quote.
    quoted: bool,
    /// Whether something outside of quotes ends it: a bare `-Dname=`.
    open: bool,
}

/// Reads one line without its semicolon. `project` is the one that tables and models belong to. All mistakes are told.
pub(super) fn read(line: &str, project: &str, settings: Settings) -> Result<XflowJob, Vec<Mistake>> {
    let words = words(line).map_err(|mistake| vec![mistake])?;
    let mut reader = Reader {
        name: None,
        project: None,
        parameters: Vec::new(),
        settings,
        given: BTreeSet::new(),
        mistakes: Vec::new(),
    };
    for word in words.iter().filter(|word| unsendable(&word.text).is_some()) {
        let message = "an escape here stands for a control character, which cannot be sent";
        reader.fail(word.at, message, "write `\\\\` for a backslash, or leave it out");
    }
    let mut words = words.into_iter().skip(1).peekable();
    while let Some(word) = words.next() {
        reader.take(&word, &mut words);
    }
    if reader.name.is_none() && !reader.given.contains("-name") {
        reader.fail(0, "the line names no algorithm", "add `-name ALGORITHM`, such as `-name kmeans`");
    }
    if !reader.mistakes.is_empty() {
        return Err(reader.mistakes);
    }
    for (key, value) in &mut reader.parameters {
        if TABLES.contains(&key.as_str()) && !value.is_empty() && !value.contains('.') {
            *value = format!("{project}.{value}");
        } else if key == MODEL && !value.is_empty() && !value.contains('/') {
            *value = format!("{project}/offlinemodels/{value}");
        }
    }
    Ok(XflowJob {
        project: reader.project.unwrap_or_else(|| ALGORITHMS.to_owned()),
        name: reader.name.unwrap_or_default(),
        parameters: reader.parameters,
        guid: None,
        priority: None,
        settings: reader.settings,
    })
}

type Words = std::iter::Peekable<std::iter::Skip<std::vec::IntoIter<Word>>>;

/// What was read so far.
struct Reader {
    name: Option<String>,
    project: Option<String>,
    parameters: Vec<(String, String)>,
    settings: Settings,
    /// Options as `-name`, parameters by their names.
    given: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn fail(&mut self, at: usize, message: impl Into<String>, cure: impl Into<String>) {
        self.mistakes.push(Mistake { at, message: message.into(), cure: cure.into() });
    }

    /// Takes an option with what belongs to it.
    fn take(&mut self, word: &Word, later: &mut Words) {
        let Word { at, text, .. } = word;
        let at = *at;
        let option = text.strip_prefix("--").or_else(|| text.strip_prefix('-')).filter(|_| !word.quoted);
        let Some(option) = option.filter(|option| !option.is_empty()) else {
            let shown: String = text.chars().take(64).collect();
            self.fail(at, format!("`{shown}` belongs to no option"), "write parameters as `-Dname=value`");
            return;
        };
        if let Some(parameter) = option.strip_prefix('D') {
            self.parameter(at, parameter, word.open, later);
            return;
        }
        let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
        if !OPTIONS.contains(&key) {
            let shown: String = key.chars().take(64).collect();
            let cure = crate::suggest::cure(key, OPTIONS);
            self.fail(at, format!("`-{shown}` is no option of a PAI line"), cure);
            return;
        }
        if !self.given.insert(format!("-{key}")) {
            self.fail(at, format!("`-{key}` is given a second time"), "keep one of them");
        }
        if key == "cost" {
            self.fail(
                at,
                "`-cost` only estimates what a run would cost, and runs nothing",
                "leave it out, and estimate with the command line client of MaxCompute",
            );
            return;
        }
        let value = match value {
            Some("") if word.open => value_after(later).unwrap_or_default(),
            Some(value) => value.to_owned(),
            None => value_after(later).unwrap_or_default(),
        };
        if value.is_empty() {
            self.fail(at, format!("`-{key}` has no value"), format!("write `-{key} VALUE`"));
            return;
        }
        match key {
            "name" => self.name = Some(value),
            "project" => self.project = Some(value),
            "jobname" => {
                self.settings.insert(JOB_NAME.to_owned(), value);
            }
            _ if serde_json::from_str::<Value>(&value).is_ok_and(|value| value.is_object()) => {
                self.settings.insert(LINEAGE.to_owned(), value);
            }
            _ => self.fail(
                at,
                "`-lineage` is no mapping in JSON",
                "write it in single quotes: `-lineage '{...}'`",
            ),
        }
    }

    /// Takes `-Dname=value`, whose `-D` may stand alone and whose value may be a word of its own.
    fn parameter(&mut self, at: usize, text: &str, mut open: bool, later: &mut Words) {
        let mut text = text.to_owned();
        if text.is_empty()
            && let Some(word) = later.next_if(|word| !word.text.starts_with('-'))
        {
            open = word.open;
            text = word.text;
        }
        let Some((key, value)) = text.split_once('=') else {
            let shown: String = text.chars().take(64).collect();
            self.fail(at, format!("`-D{shown}` has no value"), format!("write `-D{shown}=VALUE`"));
            return;
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if key.is_empty() || !key.chars().all(fits) {
            let shown: String = key.chars().take(64).collect();
            let cure = "names have letters, digits, `_`, `.` and `-`";
            self.fail(at, format!("`{shown}` is no name of a parameter"), cure);
            return;
        }
        let mut value = value.to_owned();
        if value.is_empty() && open {
            value = later.next_if(|word| word.quoted).map(|word| word.text).unwrap_or_default();
        }
        if !self.given.insert(key.to_owned()) {
            self.fail(at, format!("the parameter `{key}` is given a second time"), "keep one of them");
        } else if value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:")) {
            self.fail(
                at,
                format!("`{key}` is a file of this machine, which is not uploaded"),
                "create a resource in the project, or put the file on OSS, and name that",
            );
        } else if !NOT_SENT.contains(&key) {
            self.parameters.push((key.to_owned(), value));
        }
    }
}

/// The next word, if it is no option.
fn value_after(later: &mut Words) -> Option<String> {
    later.next_if(|word| word.quoted || !word.text.starts_with('-')).map(|word| word.text)
}

/// Splits a line at blanks outside of quotes. Quotes are taken off and escapes decoded as in Java, also outside of quotes.
fn words(line: &str) -> Result<Vec<Word>, Mistake> {
    let mut words: Vec<Word> = Vec::new();
    let mut within = false;
    let mut at = 0;
    while let Some(first) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = line.get(at..).unwrap_or_default();
        if first.is_whitespace() {
            within = false;
            at += first.len_utf8();
            continue;
        }
        let is_quote = matches!(first, '\'' | '"');
        if !within {
            words.push(Word { at, text: String::new(), quoted: is_quote, open: true });
            within = true;
        }
        let (length, part) = if is_quote {
            let length = quoted(rest, first).ok_or_else(|| Mistake {
                at,
                message: format!("an opening {first} has no closing one"),
                cure: "close it".to_owned(),
            })?;
            (length, rest.get(1..length - 1).unwrap_or_default())
        } else {
            let mut escaped = false;
            let end = rest.find(|c: char| {
                let ends = !escaped && (c.is_whitespace() || matches!(c, '\'' | '"'));
                escaped = !escaped && c == '\\';
                ends
            });
            (end.unwrap_or(rest.len()), rest.get(..end.unwrap_or(rest.len())).unwrap_or_default())
        };
        if let Some(word) = words.last_mut() {
            word.text.push_str(&unescaped(part));
            word.open = !is_quote;
        }
        at += length;
    }
    Ok(words)
}

/// A text with the escapes of Java decoded.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('b') => plain.push('\u{8}'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = letters.clone().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                match code.and_then(char::from_u32) {
                    Some(decoded) => {
                        plain.push(decoded);
                        letters = letters.as_str().get(4..).unwrap_or_default().chars();
                    }
                    None => plain.push_str("\\u"),
                }
            }
            Some(other) => plain.push(other),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(line: &str) -> XflowJob {
        read(line, "mine", Settings::new()).unwrap_or_else(|mistakes| panic!("{line}: {mistakes:?}"))
    }

    fn parameters(line: &str) -> Vec<(String, String)> {
        parsed(line).parameters
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn messages(line: &str) -> Vec<String> {
        read(line, "mine", Settings::new()).unwrap_err().into_iter().map(|mistake| mistake.message).collect()
    }

    #[test]
    fn the_documented_k_means_becomes_a_run_with_the_documented_rewrites() {
        let job = parsed(
            "pai -name kmeans -project algo_public -DinputTableName=pai_kmeans_test_input \
             -DselectedColNames=f0,f1\n  -DcenterCount=3 -Daccuracy=0.01 -DdistanceType=euclidean\n  \
             -DmodelName=model_e1_t2 -DidxTableName=idx_e1_t2",
        );
        assert_eq!((job.project.as_str(), job.name.as_str()), ("algo_public", "kmeans"));
        let expected = [
            ("inputTableName", "mine.pai_kmeans_test_input"),
            ("selectedColNames", "f0,f1"),
            ("centerCount", "3"),
            ("accuracy", "0.01"),
            ("distanceType", "euclidean"),
            ("modelName", "mine/offlinemodels/model_e1_t2"),
            ("idxTableName", "idx_e1_t2"),
        ];
        assert_eq!(job.parameters, pairs(&expected));
        let kept = parameters("PAI -name x -DinputTableName=p2.t -DoutputTableName=o -DmodelName=a/b");
        assert_eq!(
            kept,
            pairs(&[("inputTableName", "p2.t"), ("outputTableName", "mine.o"), ("modelName", "a/b")])
        );
    }

    #[test]
    fn lines_are_read_as_by_the_command_line_client() {
        let line = r#"PAI -name=Filter -DoutTableName="t 1" -Dfilter="id like \"%1\"" -Da='b=c' -Db="it's""#;
        let expected = [("outTableName", "t 1"), ("filter", "id like \"%1\""), ("a", "b=c"), ("b", "it's")];
        assert_eq!(parameters(line), pairs(&expected));
        assert_eq!(parsed(line).project, ALGORITHMS);
        for (line, value) in [
            (r"PAI -name x -Da=b\tc", "b\tc"),
            (r"PAI -name x -Da='\u4e2d\\'", "中\\"),
            (r"PAI -name x -Da=\d", "d"),
            ("PAI -name x -D a=b", "b"),
            ("PAI --name x -Da= \"b c\"", "b c"),
            ("PAI -name x -Da=", ""),
            ("PAI -name x -Da=-1", "-1"),
            ("PAI -name x -DserviceSelection=auto -Da=b", "b"),
        ] {
            assert_eq!(parameters(line), pairs(&[("a", value)]), "{line}");
        }
        let job = parsed(r#"PAI -name x -jobname "exp 1" -lineage '{"SrcEntities":[]}'"#);
        assert_eq!(
            (job.settings[JOB_NAME].as_str(), job.settings[LINEAGE].as_str()),
            ("exp 1", r#"{"SrcEntities":[]}"#)
        );
    }

    #[test]
    fn every_mistake_of_a_line_is_told() {
        let line = "PAI -nam x -project -Da=1 -Da=2 -Db b=c -cost -Dscript='file:///x.py' -lineage x -D=1";
        assert_eq!(
            messages(line),
            [
                "`-nam` is no option of a PAI line",
                "`x` belongs to no option",
                "`-project` has no value",
                "the parameter `a` is given a second time",
                "`-Db` has no value",
                "`b=c` belongs to no option",
                "`-cost` only estimates what a run would cost, and runs nothing",
                "`script` is a file of this machine, which is not uploaded",
                "`-lineage` is no mapping in JSON",
                "`` is no name of a parameter",
                "the line names no algorithm",
            ]
        );
        let mistakes = read(line, "mine", Settings::new()).unwrap_err();
        assert_eq!((mistakes[0].at, mistakes[0].cure.as_str()), (4, "did you mean `name`?"));
        assert_eq!(messages("PAI -name x -Da=\"b"), ["an opening \" has no closing one"]);
        let control = "an escape here stands for a control character, which cannot be sent";
        assert_eq!(messages(r"PAI -name x -Da=\u0001"), [control]);
        assert_eq!(messages("PAI"), ["the line names no algorithm"]);
        assert_eq!(messages("PAI -name x -name y"), ["`-name` is given a second time"]);
    }

    proptest! {
        #[test]
        fn quoted_values_come_back(value in "[^\\\\\"'\\pC]{0,20}", quote in "[\"']") {
            prop_assume!(!value.starts_with("file:"));
            let line = format!("PAI -name x -Da={quote}{value}{quote}");
            prop_assert_eq!(parameters(&line), vec![("a".to_owned(), value)]);
        }

        #[test]
        fn no_line_makes_it_panic(line in "(-D|-name|=|'|\"|\\\\|u4|a| |\n|\\PC){0,30}") {
            let _ = read(&format!("PAI {line}"), "mine", Settings::new());
        }
    }
}
