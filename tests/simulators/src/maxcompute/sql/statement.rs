//! Statements: which there are, and how those that define or change tables are read.

use super::failure::Failure;
use super::token::{Kind, Token, tokens};

/// A column as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, in lower case.
    pub name: String,
    /// The type's name, in lower case, such as `bigint`.
    pub kind: String,
    /// What it is for.
    pub comment: String,
}

/// A partition: names of columns, and their values where they are fixed.
pub type Partition = Vec<(String, Option<String>)>;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `SET key=value`.
    Set(String, String),
    /// `CREATE TABLE`.
    Create {
        /// The table.
        table: String,
        /// Whether nothing is to happen if there is one.
        if_absent: bool,
        /// The columns; empty if they come from a query or another table.
        columns: Vec<Column>,
        /// The columns that partition it.
        partitioned: Vec<Column>,
        /// How long it is kept, in days.
        lifecycle: Option<u32>,
        /// What it is for.
        comment: String,
        /// The table that it is like.
        like: Option<String>,
        /// The query whose rows it gets.
        query: Option<Vec<Token>>,
    },
    /// `DROP TABLE`; whether nothing is to happen if there is none.
    Drop(String, bool),
    /// `DROP OFFLINEMODEL`; whether nothing is to happen if there is none.
    DropModel(String, bool),
    /// `TRUNCATE TABLE`.
    Truncate(String),
    /// `ALTER TABLE ... ADD PARTITION`; whether nothing is to happen if there is one.
    AddPartition(String, Partition, bool),
    /// `ALTER TABLE ... DROP PARTITION`; whether nothing is to happen if there is none.
    DropPartition(String, Partition, bool),
    /// `ALTER TABLE ... SET LIFECYCLE`.
    SetLifecycle(String, u32),
    /// `ALTER TABLE ... RENAME TO`.
    Rename(String, String),
    /// `INSERT`.
    Insert {
        /// The table.
        table: String,
        /// Whether what was there is replaced.
        overwrite: bool,
        /// The partition, if one is named.
        partition: Partition,
        /// The columns that get values; all, if none is named.
        columns: Vec<String>,
        /// The query whose rows it gets, or `VALUES` and what follows.
        query: Vec<Token>,
    },
    /// A query with rows.
    Query(Vec<Token>),
    /// `SHOW TABLES`.
    ShowTables,
    /// `SHOW PARTITIONS`.
    ShowPartitions(String),
    /// `DESC`.
    Describe(String),
}

/// Reads the statements of a text. `project` may stand before names of tables.
pub fn statements(text: &str, project: &str) -> Result<Vec<Statement>, Failure> {
    let all = tokens(text)?;
    all.split(|token| token.sign(";"))
        .filter(|tokens| !tokens.is_empty())
        .map(|tokens| Cursor { tokens, at: 0, project }.statement())
        .collect()
}

struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
    project: &'a str,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Takes words if they stand here, all of them or none.
    fn take(&mut self, words: &[&str]) -> bool {
        let here = self.tokens.get(self.at..).unwrap_or_default();
        let fits = words.len() <= here.len() && words.iter().zip(here).all(|(word, token)| token.is(word));
        self.at += if fits { words.len() } else { 0 };
        fits
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let fits = self.peek().is_some_and(|token| token.sign(sign));
        self.at += usize::from(fits);
        fits
    }

    fn unexpected<T>(&self) -> Result<T, Failure> {
        let token = self.peek().or(self.tokens.last());
        let what = match self.peek() {
            Some(token) => format!("invalid token '{}'", token.text),
            None => "the statement is not complete".to_owned(),
        };
        Err(Failure::parse(token, &what))
    }

    fn expect(&mut self, sign: &str) -> Result<(), Failure> {
        if self.take_sign(sign) { Ok(()) } else { self.unexpected() }
    }

    fn name(&mut self) -> Result<String, Failure> {
        let Some(name) = self.peek().and_then(Token::name).map(str::to_lowercase) else {
            return self.unexpected();
        };
        self.at += 1;
        Ok(name)
    }

    /// A table's name, perhaps with its project.
    fn table(&mut self) -> Result<String, Failure> {
        let first = self.name()?;
        if !self.take_sign(".") {
            return Ok(first);
        }
        let table = self.name()?;
        if first.eq_ignore_ascii_case(self.project) {
            return Ok(table);
        }
        Err(Failure::no_table(self.tokens.get(self.at - 1), &first, &table))
    }

    fn text(&mut self) -> Result<String, Failure> {
        let Some(text) = self.peek().filter(|token| token.kind == Kind::Text).map(|token| token.text.clone())
        else {
            return self.unexpected();
        };
        self.at += 1;
        Ok(text)
    }

    fn days(&mut self) -> Result<u32, Failure> {
        let Some(days) = self.peek().and_then(|token| token.text.parse().ok()) else {
            return self.unexpected();
        };
        self.at += 1;
        Ok(days)
    }

    fn rest(&mut self) -> Vec<Token> {
        let rest = self.tokens.get(self.at..).unwrap_or_default().to_vec();
        self.at = self.tokens.len();
        rest
    }

    fn done(&self, statement: Statement) -> Result<Statement, Failure> {
        if self.peek().is_none() { Ok(statement) } else { self.unexpected() }
    }

    fn statement(&mut self) -> Result<Statement, Failure> {
        if self.take(&["set"]) {
            return Ok(self.set());
        }
        if self.take(&["create", "table"]) {
            return self.create();
        }
        if self.take(&["insert", "overwrite"]) {
            return self.insert(true);
        }
        if self.take(&["insert", "into"]) {
            return self.insert(false);
        }
        if self.take(&["drop", "table"]) {
            let absent = self.take(&["if", "exists"]);
            let statement = Statement::Drop(self.table()?, absent);
            self.take(&["purge"]);
            return self.done(statement);
        }
        if self.take(&["drop", "offlinemodel"]) {
            let absent = self.take(&["if", "exists"]);
            let statement = Statement::DropModel(self.table()?, absent);
            return self.done(statement);
        }
        if self.take(&["truncate", "table"]) {
            let statement = Statement::Truncate(self.table()?);
            return self.done(statement);
        }
        if self.take(&["alter", "table"]) {
            return self.alter();
        }
        if self.take(&["show", "tables"]) {
            return self.done(Statement::ShowTables);
        }
        if self.take(&["show", "partitions"]) {
            let statement = Statement::ShowPartitions(self.table()?);
            return self.done(statement);
        }
        if self.take(&["desc"]) || self.take(&["describe"]) {
            let statement = Statement::Describe(self.table()?);
            return self.done(statement);
        }
        let queries = self.peek().is_some_and(|token| {
            ["select", "with", "values"].iter().any(|word| token.is(word)) || token.sign("(")
        });
        if queries { Ok(Statement::Query(self.rest())) } else { self.unexpected() }
    }

    /// A setting: what stands before and after the first `=`.
    fn set(&mut self) -> Statement {
        let rest = self.rest();
        let mut halves = rest.splitn(2, |token| token.sign("="));
        let mut half = || {
            let tokens = halves.next().unwrap_or_default();
            tokens.iter().map(|token| token.text.as_str()).collect::<String>()
        };
        Statement::Set(half(), half())
    }

    fn create(&mut self) -> Result<Statement, Failure> {
        let if_absent = self.take(&["if", "not", "exists"]);
        let table = self.table()?;
        let (mut columns, mut partitioned) = (Vec::new(), Vec::new());
        let (mut lifecycle, mut comment, mut like, mut query) = (None, String::new(), None, None);
        if self.peek().is_some_and(|token| token.sign("(")) {
            columns = self.columns()?;
        }
        while self.peek().is_some() {
            if self.take(&["partitioned", "by"]) {
                partitioned = self.columns()?;
            } else if self.take(&["lifecycle"]) {
                lifecycle = Some(self.days()?);
            } else if self.take(&["comment"]) {
                comment = self.text()?;
            } else if self.take(&["tblproperties"]) {
                self.skip_parentheses()?;
            } else if self.take(&["like"]) {
                like = Some(self.table()?);
            } else if self.take(&["as"]) {
                query = Some(self.rest());
            } else {
                return self.unexpected();
            }
        }
        if columns.is_empty() && like.is_none() && query.is_none() {
            return self.unexpected();
        }
        Ok(Statement::Create { table, if_absent, columns, partitioned, lifecycle, comment, like, query })
    }

    /// Columns in parentheses.
    fn columns(&mut self) -> Result<Vec<Column>, Failure> {
        self.expect("(")?;
        let mut columns = Vec::new();
        loop {
            let name = self.name()?;
            let mut kind = self.name()?;
            if self.peek().is_some_and(|token| token.sign("(")) {
                let from = self.at;
                self.skip_parentheses()?;
                kind.extend(
                    self.tokens.get(from..self.at).unwrap_or_default().iter().map(|token| &*token.text),
                );
            }
            let mut comment = String::new();
            loop {
                if self.take(&["not", "null"]) || self.take(&["primary", "key"]) {
                } else if self.take(&["default"]) {
                    self.at += 1;
                } else if self.take(&["comment"]) {
                    comment = self.text()?;
                } else {
                    break;
                }
            }
            columns.push(Column { name, kind, comment });
            if self.take_sign(")") {
                return Ok(columns);
            }
            self.expect(",")?;
        }
    }

    fn skip_parentheses(&mut self) -> Result<(), Failure> {
        self.expect("(")?;
        let mut depth = 1;
        while depth > 0 {
            let Some(token) = self.peek() else { return self.unexpected() };
            depth += i32::from(token.sign("(")) - i32::from(token.sign(")"));
            self.at += 1;
        }
        Ok(())
    }

    /// `PARTITION (a='x', b)`.
    fn partition(&mut self) -> Result<Partition, Failure> {
        self.expect("(")?;
        let mut parts = Vec::new();
        loop {
            let name = self.name()?;
            let mut value = None;
            if self.take_sign("=") {
                let Some(token) = self.peek() else { return self.unexpected() };
                value = Some(token.text.clone());
                self.at += 1;
            }
            parts.push((name, value));
            if self.take_sign(")") {
                return Ok(parts);
            }
            self.expect(",")?;
        }
    }

    fn insert(&mut self, overwrite: bool) -> Result<Statement, Failure> {
        self.take(&["table"]);
        let table = self.table()?;
        let partition = if self.take(&["partition"]) { self.partition()? } else { Vec::new() };
        let mut columns = Vec::new();
        let begins = |token: &Token, word| token.is(word);
        let list = self.peek().is_some_and(|token| token.sign("("))
            && !self
                .tokens
                .get(self.at + 1)
                .is_some_and(|next| begins(next, "select") || begins(next, "with"));
        if list {
            self.expect("(")?;
            loop {
                columns.push(self.name()?);
                if self.take_sign(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        if self.peek().is_none() {
            return self.unexpected();
        }
        let query = self.rest();
        Ok(Statement::Insert { table, overwrite, partition, columns, query })
    }

    fn alter(&mut self) -> Result<Statement, Failure> {
        let table = self.table()?;
        let statement = if self.take(&["add"]) {
            let absent = self.take(&["if", "not", "exists"]);
            if !self.take(&["partition"]) {
                return self.unexpected();
            }
            Statement::AddPartition(table, self.partition()?, absent)
        } else if self.take(&["drop"]) {
            let absent = self.take(&["if", "exists"]);
            if !self.take(&["partition"]) {
                return self.unexpected();
            }
            Statement::DropPartition(table, self.partition()?, absent)
        } else if self.take(&["set", "lifecycle"]) {
            Statement::SetLifecycle(table, self.days()?)
        } else if self.take(&["rename", "to"]) {
            Statement::Rename(table, self.table()?)
        } else {
            return self.unexpected();
        };
        self.done(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Statement {
        let mut all = statements(text, "p").unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn a_definition_is_read_with_all_its_parts() {
        let text = "CREATE TABLE IF NOT EXISTS p.`T` (a BIGINT COMMENT 'first', b DECIMAL(10,2) NOT NULL) \
                    COMMENT 'all' PARTITIONED BY (pt STRING) TBLPROPERTIES ('x'='y') LIFECYCLE 7;";
        let Statement::Create { table, if_absent, columns, partitioned, lifecycle, comment, .. } = one(text)
        else {
            panic!("not a definition")
        };
        assert_eq!((table.as_str(), if_absent, lifecycle, comment.as_str()), ("t", true, Some(7), "all"));
        assert_eq!((columns[0].comment.as_str(), columns[1].kind.as_str()), ("first", "decimal(10,2)"));
        assert_eq!(partitioned[0].name, "pt");
    }

    #[test]
    fn settings_and_partitions_are_read() {
        let all =
            statements("set a.b-c=1:2;\nalter table t add if not exists partition (pt='1',q='2');", "p");
        let partition = vec![("pt".to_owned(), Some("1".to_owned())), ("q".to_owned(), Some("2".to_owned()))];
        let expected = [
            Statement::Set("a.b-c".to_owned(), "1:2".to_owned()),
            Statement::AddPartition("t".to_owned(), partition, true),
        ];
        assert_eq!(all.unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let failed = |text: &str| statements(text, "p").unwrap_err().0;
        assert_eq!(failed("selec 1"), "ODPS-0130161:[1,1] Parse exception - invalid token 'selec'");
        assert_eq!(failed("drop table a b"), "ODPS-0130161:[1,14] Parse exception - invalid token 'b'");
        assert!(failed("create table t").contains("not complete"));
        assert!(failed("insert overwrite table my_table").contains("not complete"));
        assert!(failed("PAI -name kmeans").contains("invalid token 'PAI'"));
        assert!(failed("drop table q.t").starts_with("ODPS-0130131:[1,14] Table not found - table q.t"));
    }
}
