//! The pure core: what a request means, which rule owns it, who asks, and whether they may pass.
//!
//! No async, no clock, no lock, no engine and no deserialisation here: time is an argument, and what must be fetched
//! is said, not fetched. Everything in this module can be tested with values alone.

pub mod authenticate;
pub mod call;
pub mod cors;
pub mod credentials;
pub mod decide;
pub mod dress;
pub mod edits;
pub mod expression;
pub mod host;
pub mod id_token;
pub mod index;
pub mod names;
pub mod origin;
pub mod path;
pub mod pattern;
pub mod payload;
pub mod policy;
pub mod redirect;
pub mod refusal;
pub mod request;
pub mod rewrite;
pub mod rule;
pub mod session;
pub mod template;
pub mod token;
pub mod upstream;
pub mod url_template;
