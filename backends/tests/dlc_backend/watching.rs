//! What is seen of jobs, and what follows from it.
