//! The pure core of Retrial: what an experiment is, and what happens to it.
