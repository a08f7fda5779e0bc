//! The trainer of the penguins example.

fn main() {}
