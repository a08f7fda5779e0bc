//! Queries in the embedded database's words.
//!
//! Most words mean the same; what does not is named here. Names of columns and tables that need quotes get backticks,
//! which the database never takes for a text.

use super::failure::Failure;
use super::token::{Kind, Token};
use crate::maxcompute::limits::SQL_DEPTH;

/// Functions that the database has under another name.
const NAMES: [(&str, &str); 6] = [
    ("if", "iif"),
    ("nvl", "ifnull"),
    ("greatest", "max"),
    ("least", "min"),
    ("toupper", "upper"),
    ("tolower", "lower"),
];

/// Words that are names to the warehouse and keywords to the database.
const NO_KEYWORDS: [&str; 14] = [
    "autoincrement",
    "check",
    "collate",
    "commit",
    "constraint",
    "deferrable",
    "foreign",
    "index",
    "nothing",
    "primary",
    "references",
    "returning",
    "transaction",
    "unique",
];

/// Writes a query of a project anew.
pub fn translate(tokens: &[Token], project: &str) -> Result<String, Failure> {
    let mut text = String::new();
    // For each open parenthesis, whether it is that of a CAST.
    let mut open: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let next_is = |sign: &str| tokens.get(at).is_some_and(|next| next.sign(sign));
        let qualified = at >= 2 && tokens.get(at - 2).is_some_and(|before| before.sign("."));
        if next_is(".") && !qualified && token.name().is_some_and(|name| name.eq_ignore_ascii_case(project)) {
            at += 1;
            continue;
        }
        if token.is("as") && open.last() == Some(&true) {
            text.push_str(", '");
            while let Some(part) = tokens.get(at).filter(|part| !part.sign(")")) {
                text.push_str(&part.text.to_lowercase());
                at += 1;
                // DECIMAL(10,2): what is in its parentheses is left out.
                if tokens.get(at).is_some_and(|next| next.sign("(")) {
                    while tokens.get(at).is_some_and(|inner| !inner.sign(")")) {
                        at += 1;
                    }
                    at += 1;
                }
            }
            text.push_str("' ");
            continue;
        }
        if token.sign("(") {
            let cast = at >= 2 && tokens.get(at - 2).is_some_and(|before| before.is("cast"));
            open.push(cast);
            if open.len() > SQL_DEPTH {
                return Err(Failure::parse(Some(token), "parentheses lie too deep in each other"));
            }
        } else if token.sign(")") && open.pop().is_none() {
            return Err(Failure::parse(Some(token), "invalid token ')'"));
        }
        word(&mut text, token, next_is("("));
    }
    if open.is_empty() { Ok(text) } else { Err(Failure::parse(tokens.last(), "a parenthesis is not closed")) }
}

/// Appends one token.
fn word(text: &mut String, token: &Token, called: bool) {
    match token.kind {
        Kind::Word if called && token.is("cast") => text.push_str("odps_cast"),
        Kind::Word if called => {
            let known = NAMES.iter().find(|(name, _)| token.is(name));
            text.push_str(known.map_or(token.text.as_str(), |(_, name)| name));
        }
        Kind::Word if token.is("rlike") => text.push_str("REGEXP"),
        Kind::Word if NO_KEYWORDS.iter().any(|name| token.is(name)) => {
            text.push_str(&format!("`{}`", token.text));
        }
        Kind::Name => {
            text.push('`');
            text.push_str(&token.text.replace('`', "``"));
            text.push('`');
        }
        Kind::Text => {
            text.push('\'');
            text.push_str(&token.text.replace('\'', "''"));
            text.push('\'');
        }
        // A quotient of whole numbers is not cut off.
        Kind::Sign if token.text == "/" => text.push_str("* 1.0 /"),
        Kind::Word | Kind::Number | Kind::Sign => text.push_str(&token.text),
    }
    if !(called || token.sign(".")) {
        text.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    #[test]
    fn what_differs_is_written_anew() {
        let written = |text: &str| translate(&tokens(text).unwrap(), "p").unwrap().replace(' ', "");
        assert_eq!(written("select a/2 from p.t"), "selecta*1.0/2fromt");
        assert_eq!(written("select if(a>1,\"it's\",nvl(b,`c d`))"), "selectiif(a>1,'it''s',ifnull(b,`cd`))");
        let cast = "select cast(cast(a as bigint)+1 as decimal(10,2)) as x";
        assert_eq!(written(cast), "selectodps_cast(odps_cast(a,'bigint')+1,'decimal')asx");
        assert_eq!(written("select index from t"), "select`index`fromt");
        assert_eq!(written("select t.p from t where a rlike '^b'"), "selectt.pfromtwhereaREGEXP'^b'");
    }

    #[test]
    fn parentheses_must_fit() {
        for text in ["select (1", "select 1)", &format!("select {}", "(".repeat(300))] {
            assert!(translate(&tokens(text).unwrap(), "p").unwrap_err().0.contains("ODPS-0130161"), "{text}");
        }
    }
}
