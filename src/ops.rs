//! The operators' listener: health, metrics, rules, explain and forgetting sessions.

pub mod settings;
