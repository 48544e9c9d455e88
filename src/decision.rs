//! The pure core: what a request means, which rule owns it, who asks, and whether they may pass.

pub mod request;

pub mod host;

pub mod path;

pub mod pattern;

pub mod index;
