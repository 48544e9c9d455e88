//! The operators' listener: health, metrics, rules, explain and forgetting sessions.
