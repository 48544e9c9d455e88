//! A gateway between a Kratos and a service, each real and on a port of its own.

mod client;
mod gateway;
mod kratos;
mod service;
mod tls;

pub use client::{Client, Reply, exchange, read_reply};
pub use gateway::{Gateway, compile, until};
pub use kratos::{Kratos, RUNTIME};
pub use service::{Seen, Service};
pub use tls::Authority;
