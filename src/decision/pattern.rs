//! What a rule's `match` is made of: patterns of hosts and paths, and sets of methods and schemes.

pub use host::HostPattern;
pub use host::HostPatternError;
pub use methods::MethodError;
pub use methods::Methods;
pub use methods::Schemes;
pub use path::PathPattern;
pub use path::PathPatternError;
pub(crate) use path::REGEX_SIZE_LIMIT;
pub use path::RegexPattern;
pub use path::Segment;
pub use path::Segments;

mod host;
mod methods;
mod path;
#[cfg(test)]
mod tests;
