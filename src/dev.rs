//! The embedded development identity server: speaks Kratos' public API over HTTP.
