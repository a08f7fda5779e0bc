//! What is shown of a state, the same for the command line and the HTTP API: as JSON in [`present`], in words in
//! [`measure`], history in [`history`]. Pure: nothing here reads a file, a clock or a terminal.

pub mod export;
pub mod figures;
pub mod find;
pub mod history;
pub mod importance;
pub mod measure;
pub mod present;
