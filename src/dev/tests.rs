//! The server over HTTP, as its clients see it.

mod client;
mod password;
