//! Retrial.
