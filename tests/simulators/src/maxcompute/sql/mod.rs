//! SQL as the warehouse takes it, done by an embedded database.
//!
//! A text is cut into tokens (`token.rs`) and statements. What defines or changes tables is read here
//! (`statement.rs`); what queries is written anew in the database's words (`translate.rs`), which has the warehouse's
//! functions added (`function.rs`). `failure.rs` says what went wrong as the service says it.
//!
//! It is enough SQL for experiments, not the service's: types are those of the embedded database with the declared
//! names, and what it does not know either is refused and never guessed.

pub mod failure;
pub mod function;
pub mod statement;
pub mod token;
pub mod translate;

pub use failure::Failure;
pub use statement::{Statement, statements};
pub use token::{Kind, Token, tokens};
