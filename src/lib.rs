//! Portcullis: the gate in front of services whose users sign in with Ory Kratos.

pub mod decision;

pub mod sessions;

pub mod gate;

pub mod ui;

pub mod proxy;

pub mod ops;

pub mod config;

#[cfg(feature = "dev")]
pub mod dev;

pub mod telemetry;

pub mod server;

pub mod cli;
