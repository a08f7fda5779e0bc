//! The tables and models of a project, and statements and algorithms that read and write them.
//!
//! [`Warehouse::run`] does the statements of a task; [`Warehouse::read`] and [`Warehouse::write`] are for algorithms.
//! Tables are in an embedded database in memory; what it does not know of them (types by their names, partitions,
//! lifecycles) is in [`Definition`]s. Each statement happens wholly or not at all.

use super::definition::{Definition, arranged, partition_values};
use super::limits::ROWS;
use super::pai::Model;
use super::sql::statement::{Column, Partition, Statement};
use super::sql::{Failure, Token, function, statements, translate::translate};
use super::storage::{append, cell, define, delete, field, inferred, quoted};
use super::table::{Cell, Table, column};
use rusqlite::{Connection, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a task gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Rows of a query.
    Rows(Table),
    /// A text, often an empty one.
    Text(String),
}

/// Under which circumstances statements run.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The settings.
    pub settings: BTreeMap<String, String>,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// Becomes true when nobody wants what is left any more.
    pub unwanted: Arc<AtomicBool>,
}

impl Circumstances {
    fn is_set(&self, name: &str, value: &str) -> bool {
        self.settings.get(name).is_some_and(|set| set.trim().eq_ignore_ascii_case(value))
    }
}

/// A project's tables and models.
#[derive(Debug)]
pub struct Warehouse {
    project: String,
    connection: Connection,
    /// The tables by their names, in lower case.
    pub tables: BTreeMap<String, Definition>,
    /// The models by their names, in lower case.
    pub models: BTreeMap<String, Model>,
}

impl Warehouse {
    /// An empty one, with the table `dual` of one row.
    pub fn new(project: &str) -> Result<Self, Failure> {
        let internal = |error: rusqlite::Error| Failure::internal(&error.to_string());
        let connection = Connection::open_in_memory().map_err(internal)?;
        function::register(&connection).map_err(internal)?;
        connection.execute_batch("PRAGMA case_sensitive_like = ON").map_err(internal)?;
        let mut warehouse = Self {
            project: project.to_owned(),
            connection,
            tables: BTreeMap::new(),
            models: BTreeMap::new(),
        };
        let dual = Table { columns: vec![column("id", "bigint")], rows: vec![vec![Cell::Integer(1)]] };
        warehouse.write("dual", &dual, None, 0)?;
        Ok(warehouse)
    }

    /// Does the statements of a text in order; the answer is that of the last one with rows, or else of the last.
    pub fn run(&mut self, text: &str, circumstances: &Circumstances) -> Result<Answer, Failure> {
        let all = self.check(text, circumstances)?;
        let mut circumstances = circumstances.clone();
        let mut answer = Answer::Text(String::new());
        for statement in all {
            if circumstances.unwanted.load(Ordering::SeqCst) {
                return Err(Failure::internal("the instance was terminated"));
            }
            let rows = matches!(answer, Answer::Rows(_));
            let next = self.statement(statement, &mut circumstances)?;
            if matches!(next, Answer::Rows(_)) || !rows {
                answer = next;
            }
        }
        Ok(answer)
    }

    /// Reads the statements of a text and says what is wrong with them before any is done.
    pub fn check(&self, text: &str, circumstances: &Circumstances) -> Result<Vec<Statement>, Failure> {
        let all = statements(text, &self.project)?;
        let mut script = circumstances.is_set("odps.sql.submit.mode", "script");
        let mut doing = 0;
        for statement in &all {
            match statement {
                Statement::Set(name, value) => script |= name == "odps.sql.submit.mode" && value == "script",
                _ => doing += 1,
            }
        }
        if doing == 0 {
            return Err(Failure::parse(None, "there is no statement"));
        }
        if doing > 1 && !script {
            let what = "several statements need the setting odps.sql.submit.mode=script";
            return Err(Failure::parse(None, what));
        }
        Ok(all)
    }

    fn statement(
        &mut self,
        statement: Statement,
        circumstances: &mut Circumstances,
    ) -> Result<Answer, Failure> {
        let now_ms = circumstances.now_ms;
        match statement {
            Statement::Set(name, value) => {
                circumstances.settings.insert(name, value);
            }
            Statement::Query(query) => return self.select(&query, circumstances).map(Answer::Rows),
            Statement::Insert { table, overwrite, partition, columns, query } => {
                let rows = self.select(&query, circumstances)?;
                self.insert(&table, overwrite, &partition, &columns, rows, now_ms)?;
            }
            Statement::Create { table, if_absent, columns, partitioned, lifecycle, comment, like, query } => {
                if self.tables.contains_key(&table) {
                    return if if_absent { Ok(Answer::Text(String::new())) } else { Err(exists(&table)) };
                }
                let asked = Definition {
                    columns,
                    partitioned,
                    lifecycle,
                    comment,
                    created_ms: now_ms,
                    modified_ms: now_ms,
                    ..Definition::default()
                };
                self.create(&table, asked, like.as_deref(), query.as_deref(), circumstances)?;
            }
            Statement::Drop(table, if_exists) => self.drop_table(&table, if_exists)?,
            Statement::DropModel(model, if_exists) => {
                if self.models.remove(&model).is_none() && !if_exists {
                    return Err(Failure::definition(&format!("offline model {model} does not exist")));
                }
            }
            Statement::Truncate(table) => {
                let definition = self.definition_mut(&table)?;
                definition.modified_ms = now_ms;
                self.database(&format!("DELETE FROM {}", quoted(&table)))?;
            }
            Statement::AddPartition(table, partition, if_absent) => {
                let project = self.project.clone();
                let definition = self.definition_mut(&table)?;
                let values = partition_values(&project, &table, definition, &partition)?;
                if !definition.partitions.insert(values) && !if_absent {
                    return Err(Failure::definition("the partition exists already"));
                }
            }
            Statement::DropPartition(table, partition, if_exists) => {
                self.drop_partition(&table, &partition, if_exists)?;
            }
            Statement::SetLifecycle(table, days) => self.definition_mut(&table)?.lifecycle = Some(days),
            Statement::Rename(from, to) => {
                self.definition(&from)?;
                if self.tables.contains_key(&to) {
                    return Err(exists(&to));
                }
                self.database(&format!("ALTER TABLE {} RENAME TO {}", quoted(&from), quoted(&to)))?;
                if let Some(definition) = self.tables.remove(&from) {
                    self.tables.insert(to, definition);
                }
            }
            Statement::ShowTables => {
                let names = self.tables.keys().map(|name| format!("{name}\n"));
                return Ok(Answer::Text(names.collect()));
            }
            Statement::ShowPartitions(table) => return self.show_partitions(&table).map(Answer::Text),
            Statement::Describe(table) => return self.describe(&table).map(Answer::Text),
        }
        Ok(Answer::Text(String::new()))
    }

    /// A table's definition.
    pub fn definition(&self, table: &str) -> Result<&Definition, Failure> {
        let known = self.tables.get(&table.to_lowercase());
        known.ok_or_else(|| Failure::no_table(None, &self.project, table))
    }

    fn definition_mut(&mut self, table: &str) -> Result<&mut Definition, Failure> {
        let absent = Failure::no_table(None, &self.project, table);
        self.tables.get_mut(&table.to_lowercase()).ok_or(absent)
    }

    fn database(&self, text: &str) -> Result<(), Failure> {
        self.connection.execute_batch(text).map_err(|error| Failure::of_database(&error, &self.project, &[]))
    }

    fn select(&self, query: &[Token], circumstances: &Circumstances) -> Result<Table, Failure> {
        self.check_scan(query, circumstances)?;
        let text = translate(query, &self.project)?;
        self.rows(&text, query)
    }

    fn rows(&self, text: &str, query: &[Token]) -> Result<Table, Failure> {
        let failed = |error: rusqlite::Error| Failure::of_database(&error, &self.project, query);
        let mut statement = self.connection.prepare(text).map_err(failed)?;
        if !statement.readonly() || statement.column_count() == 0 {
            return Err(Failure::parse(query.first(), "this is not a query"));
        }
        let mut columns: Vec<Column> = statement
            .columns()
            .map(|found| {
                let kind = found.decl_type().unwrap_or_default().to_lowercase();
                let name = found.name().to_lowercase();
                column(&name, if kind == "text" { "string" } else { &kind })
            })
            .collect();
        let mut rows = Vec::new();
        let mut found = statement.query([]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            if rows.len() >= ROWS {
                return Err(Failure::internal(&format!("the query has more than {ROWS} rows")));
            }
            let cells = (0..columns.len()).map(|at| row.get_ref(at).map(cell));
            rows.push(cells.collect::<Result<Vec<Cell>, _>>().map_err(failed)?);
        }
        for (at, column) in columns.iter_mut().enumerate().filter(|(_, column)| column.kind.is_empty()) {
            inferred(&rows, at).clone_into(&mut column.kind);
        }
        Ok(Table { columns, rows })
    }

    /// Refuses to read all partitions of a table unless that is allowed, or a condition names one of its columns.
    fn check_scan(&self, query: &[Token], circumstances: &Circumstances) -> Result<(), Failure> {
        if circumstances.is_set("odps.sql.allow.fullscan", "true") {
            return Ok(());
        }
        let condition =
            query.iter().position(|token| token.is("where") || token.is("on")).unwrap_or(query.len());
        let conditions = query.get(condition..).unwrap_or_default();
        let named = |name: &str| {
            conditions.iter().any(|token| token.name().is_some_and(|word| word.eq_ignore_ascii_case(name)))
        };
        for (name, definition) in self.tables.iter().filter(|(_, table)| !table.partitioned.is_empty()) {
            let read =
                query.iter().find(|token| token.name().is_some_and(|word| word.eq_ignore_ascii_case(name)));
            if read.is_some() && !definition.partitioned.iter().any(|column| named(&column.name)) {
                let what = format!(
                    "Table({},{name}) is full scan with all partitions, please specify partition predicates",
                    self.project
                );
                return Err(Failure::semantic(read, &what));
            }
        }
        Ok(())
    }

    fn create(
        &mut self,
        table: &str,
        mut asked: Definition,
        like: Option<&str>,
        query: Option<&[Token]>,
        circumstances: &Circumstances,
    ) -> Result<(), Failure> {
        if let Some(like) = like {
            let known = self.definition(like)?;
            asked.columns.clone_from(&known.columns);
            asked.partitioned.clone_from(&known.partitioned);
        }
        let mut rows = Vec::new();
        if let Some(query) = query {
            let selected = self.select(query, circumstances)?;
            asked.columns = selected.columns;
            rows = selected.rows;
        }
        let project = self.project.clone();
        self.atomically(|transaction| {
            define(transaction, table, &asked)?;
            append(transaction, table, &rows)
        })
        .map_err(|error| Failure::of_database(&error, &project, &[]))?;
        self.tables.insert(table.to_owned(), asked);
        Ok(())
    }

    fn drop_table(&mut self, table: &str, if_exists: bool) -> Result<(), Failure> {
        if !self.tables.contains_key(table) {
            return if if_exists { Ok(()) } else { Err(Failure::no_table(None, &self.project, table)) };
        }
        self.database(&format!("DROP TABLE {}", quoted(table)))?;
        self.tables.remove(table);
        Ok(())
    }

    fn drop_partition(&mut self, table: &str, partition: &Partition, if_exists: bool) -> Result<(), Failure> {
        let project = self.project.clone();
        let definition = self.definition_mut(table)?;
        let values = partition_values(&project, table, definition, partition)?;
        if !definition.partitions.remove(&values) && !if_exists {
            return Err(Failure::definition("the partition does not exist"));
        }
        let columns = definition.partitioned.clone();
        self.atomically(|transaction| delete(transaction, table, &columns, &values))
            .map_err(|error| Failure::of_database(&error, &project, &[]))
    }

    fn atomically(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        change(&transaction)?;
        transaction.commit()
    }

    fn insert(
        &mut self,
        table: &str,
        overwrite: bool,
        partition: &Partition,
        columns: &[String],
        rows: Table,
        now_ms: i64,
    ) -> Result<(), Failure> {
        let definition = self.definition(table)?.clone();
        let rows = arranged(&definition, partition, columns, rows)?;
        let first = definition.columns.len();
        let partitions: BTreeSet<Vec<String>> = if definition.partitioned.is_empty() {
            BTreeSet::new()
        } else {
            // A partition that is named comes to be even if it gets no row.
            let fixed = partition_values(&self.project, table, &definition, partition).ok();
            let values = |row: &Vec<Cell>| {
                row.iter().skip(first).map(|cell| cell.text("string").unwrap_or_default()).collect()
            };
            rows.iter().map(values).chain(fixed).collect()
        };
        let (project, keys) = (self.project.clone(), definition.partitioned.clone());
        self.atomically(|transaction| {
            if overwrite && keys.is_empty() {
                transaction.execute(&format!("DELETE FROM {}", quoted(table)), [])?;
            } else if overwrite {
                partitions.iter().try_for_each(|values| delete(transaction, table, &keys, values))?;
            }
            append(transaction, table, &rows)
        })
        .map_err(|error| Failure::of_database(&error, &project, &[]))?;
        let definition = self.definition_mut(table)?;
        definition.partitions.extend(partitions);
        definition.modified_ms = now_ms;
        Ok(())
    }

    fn show_partitions(&self, table: &str) -> Result<String, Failure> {
        let definition = self.definition(table)?;
        let line = |values: &Vec<String>| {
            let pairs = definition.partitioned.iter().zip(values);
            let parts: Vec<String> =
                pairs.map(|(column, value)| format!("{}={value}", column.name)).collect();
            parts.join("/") + "\n"
        };
        Ok(definition.partitions.iter().map(line).collect())
    }

    fn describe(&self, table: &str) -> Result<String, Failure> {
        let definition = self.definition(table)?;
        let line = |column: &Column| format!("{} | {} | {}\n", column.name, column.kind, column.comment);
        Ok(definition.all_columns().map(line).collect())
    }

    /// Some columns of a table, or all if none is named; of some partitions (`pt=1/q=2,pt=3`), or of all.
    pub fn read(&self, table: &str, columns: &[String], partitions: Option<&str>) -> Result<Table, Failure> {
        let definition = self.definition(table)?;
        for name in columns {
            if !definition.all_columns().any(|known| known.name.eq_ignore_ascii_case(name)) {
                return Err(Failure::semantic(None, &format!("column {name} cannot be resolved")));
            }
        }
        let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let names = if names.is_empty() { "*".to_owned() } else { names.join(", ") };
        let literal = |text: &str| format!("'{}'", text.trim_matches(['\'', '"']).replace('\'', "''"));
        let one = |text: &str| {
            let parts = text.split('/').filter_map(|part| part.split_once('='));
            let equal: Vec<String> = parts
                .map(|(name, value)| format!("{} = {}", quoted(name.trim()), literal(value.trim())))
                .collect();
            if equal.is_empty() { "1".to_owned() } else { format!("({})", equal.join(" AND ")) }
        };
        let chosen: Vec<String> = partitions.unwrap_or("").split(',').map(one).collect();
        let text =
            format!("SELECT {names} FROM {} WHERE {}", quoted(&table.to_lowercase()), chosen.join(" OR "));
        self.rows(&text, &[])
    }

    /// How many rows a table, or a partition of it, has.
    pub fn count(&self, table: &str, partition: Option<&str>) -> Result<usize, Failure> {
        Ok(self.read(table, &[], partition)?.rows.len())
    }

    /// Makes a table of rows; one that is there is replaced.
    pub fn write(
        &mut self,
        table: &str,
        rows: &Table,
        lifecycle: Option<u32>,
        now_ms: i64,
    ) -> Result<(), Failure> {
        let table = table.to_lowercase();
        let definition = Definition {
            columns: rows.columns.clone(),
            lifecycle,
            created_ms: now_ms,
            modified_ms: now_ms,
            ..Definition::default()
        };
        let project = self.project.clone();
        self.atomically(|transaction| {
            transaction.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(&table)))?;
            define(transaction, &table, &definition)?;
            append(transaction, &table, &rows.rows)
        })
        .map_err(|error| Failure::of_database(&error, &project, &[]))?;
        self.tables.insert(table, definition);
        Ok(())
    }

    /// Makes a table of a CSV file whose first line has the names. A column of whole numbers is BIGINT, one of numbers
    /// DOUBLE, another STRING; an empty field is NULL.
    pub fn load(&mut self, table: &str, file: &Path, now_ms: i64) -> Result<(), String> {
        let mut reader = csv::Reader::from_path(file).map_err(|error| error.to_string())?;
        let names = reader.headers().map_err(|error| error.to_string())?.clone();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            rows.push(record.iter().map(field).collect::<Vec<Cell>>());
        }
        let columns: Vec<Column> = names
            .iter()
            .enumerate()
            .map(|(at, name)| column(&name.trim().to_lowercase(), inferred(&rows, at)))
            .collect();
        self.write(table, &Table { columns, rows }, None, now_ms).map_err(|failure| failure.0)
    }
}

fn exists(table: &str) -> Failure {
    Failure::definition(&format!("Table or view already exists - {table}"))
}
