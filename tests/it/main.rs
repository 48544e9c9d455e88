//! Promises of the whole program: the real server between real fake peers, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, reason = "a test may panic, and has no callers")]

mod harness;

mod access;
mod check;
mod cors;
mod decisions;
mod deploy;
mod headers;
mod id_token;
mod invariants;
mod lifecycle;
mod logs;
mod readme;
mod refusals;
mod revocation;
mod selfservice;
mod services;
mod shaping;
mod tls;
mod tokens;
