//! The Pingora shell: it obeys the decision and moves the bytes.

pub mod settings;
