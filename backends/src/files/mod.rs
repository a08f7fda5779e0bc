//! Files where the jobs of a cloud leave them: in object storage, or on a disk that is mounted there and here.
//!
//! Begin with [`Address`], which says where, and [`Files`], which reads, lists and writes there. For object storage one
//! library, `opendal`, makes the requests and reads the answers; that they are signed, repeated and understood is the
//! business of `transport.rs`, and which endpoint they go to that of [`settings`]. Nothing here prints or keeps a secret.

mod address;
pub mod codes;
mod disk;
mod error;
mod reader;
pub mod settings;
mod sign;
mod transport;

pub use address::{Address, is_address};
pub use error::FileError;
pub use reader::{Files, LIST_BOUND, READ_BOUND};
pub use settings::{OssSettings, S3Settings, Settings};
