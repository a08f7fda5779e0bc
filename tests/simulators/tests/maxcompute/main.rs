//! The simulator of `MaxCompute`, looked at from outside: signatures, the lives of instances, faults, SQL and algorithms.

mod algorithms;
mod caller;
mod faults;
mod gateway;
mod life;
mod signatures;
mod sql;
