//! What goes wrong with a statement, in the service's words: a code, a place, and a text.

use super::token::Token;
use rusqlite::Error;
use std::fmt;

/// Why a task failed; its text is what the task's result shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Failure {
    /// The text cannot be read.
    pub fn parse(token: Option<&Token>, what: &str) -> Self {
        Self(format!("ODPS-0130161:{} Parse exception - {what}", place(token)))
    }

    /// The text can be read and makes no sense.
    pub fn semantic(token: Option<&Token>, what: &str) -> Self {
        Self(format!("ODPS-0130071:{} Semantic analysis exception - {what}", place(token)))
    }

    /// There is no such table.
    pub fn no_table(token: Option<&Token>, project: &str, table: &str) -> Self {
        Self(format!(
            "ODPS-0130131:{} Table not found - table {project}.{table} cannot be resolved",
            place(token)
        ))
    }

    /// A definition cannot be carried out.
    pub fn definition(what: &str) -> Self {
        Self(format!("ODPS-0110061: Failed to run ddltask - {what}"))
    }

    /// Something within the simulator.
    pub fn internal(what: &str) -> Self {
        Self(format!("ODPS-0010000: System internal error - {what}"))
    }

    /// An algorithm cannot do what it was asked for.
    pub fn algorithm(what: &str) -> Self {
        Self(format!("ODPS-0010000: System internal error - Algo Job Failed-User Error-{what}"))
    }

    /// What the embedded database says, in the service's words. `tokens` are those of the statement.
    pub fn of_database(error: &Error, project: &str, tokens: &[Token]) -> Self {
        let text = match error {
            Error::SqlInputError { msg, .. } => msg.clone(),
            Error::SqliteFailure(_, Some(text)) => text.clone(),
            other => other.to_string(),
        };
        let named = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            tokens.iter().find(|token| token.text.eq_ignore_ascii_case(last))
        };
        if let Some(table) = text.strip_prefix("no such table: ") {
            return Self::no_table(named(table), project, table);
        }
        if let Some(column) = text.strip_prefix("no such column: ") {
            return Self::semantic(named(column), &format!("column {column} cannot be resolved"));
        }
        if let Some(function) = text.strip_prefix("no such function: ") {
            return Self::semantic(
                named(function),
                &format!("function or view '{function}' cannot be resolved"),
            );
        }
        let near = text.strip_prefix("near \"").and_then(|rest| rest.split_once("\": syntax error"));
        if let Some((word, _)) = near {
            return Self::parse(named(word), &format!("invalid token '{word}'"));
        }
        if text == "incomplete input" || text.starts_with("unrecognized token") {
            return Self::parse(tokens.last(), &text);
        }
        Self::semantic(tokens.first(), &text)
    }
}

fn place(token: Option<&Token>) -> String {
    let (line, column) = token.map_or((1, 1), |token| (token.line, token.column));
    format!("[{line},{column}]")
}
