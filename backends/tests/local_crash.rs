//! Kills controllers of the local backend at random moments.

fn main() {}
