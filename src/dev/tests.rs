//! The server over HTTP, as its clients see it.

mod client;
mod conformance;
mod factors;
mod mails;
mod operations;
mod password;
mod protection;
mod shapes;
mod switches;
