//! What a job prints, read through `GetPodLogs` as one growing text.
//!
//! The service knows neither positions nor numbers of lines: it gives the first lines of a window in time, some
//! seconds late. [`stream`] makes a sequence of lines of such windows, and is pure; [`spool`] gives bytes their
//! positions; [`pods`] says whose lines count; [`reader`] asks the service. Begin with [`reader::Logs`].

pub mod pods;
pub mod reader;
pub mod spool;
pub mod stream;
