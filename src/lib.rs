//! Portcullis: the gate in front of services whose users sign in with Ory Kratos.
//!
//! # The path of a request
//!
//! request → [`RequestView`](decision::request::RequestView) (one meaning, or 400) → rule → credential → caller →
//! decision → [`Permit`](decision::decide::Permit) → edits → upstream
//!
//! 1. The **request view** borrows the head. Where a host or a path could be read in two ways, the request ends here.
//! 2. The **rule** is found in an index built at load time: host, then path, then method. It costs as much as the path
//!    is long, however many rules there are.
//! 3. The **credential** is what Kratos itself would look at, in its order.
//! 4. The **caller** is one of six: anonymous, known by a session or by a token of another issuer, rejected, in need of a
//!    second factor, or unknown because nobody could be asked. A session comes from the cache, or from one whoami call
//!    that all who wait for it share.
//! 5. The **decision** is a pure function of rule, request and evidence. Where others must be asked it says so; the gate
//!    has them asked, and their replies are evidence. Only the decision can make a permit.
//! 6. The **edits** remove first what no client may say of itself, then set what the session says.
//! 7. The **upstream** is chosen, connected, and streamed to and from.
//!
//! Kratos' own public API and the sign-in pages travel the same path, under rules that the gateway brings along. The
//! decision API and `explain` leave it before the last step.
//!
//! # Invariants
//!
//! Each has a test of its name in `tests/it/invariants.rs`.
//!
//! 1. No permit, no upstream connection.
//! 2. A client can never name itself: what the gateway says of a caller is removed from every request on every rule, in
//!    every spelling that a service might fold to it, before it is set. Also on the way to Kratos.
//! 3. What was matched is what is forwarded: the decoded meaning decides, the wire form travels byte for byte, or the
//!    request was refused. Where a rule has `rewrite`, the prefix that it names is another, and all behind it as it came.
//! 4. Kratos being away is never "not signed in" and never "signed in".
//! 5. A session that a request through this gateway carried or named, and ended, is honoured by no later request.
//! 6. No look-up that began before a revocation can put that session back, and no later request joins it.
//! 7. No secret in a log, a metric, an error body, a trace or a `Debug`.
//! 8. A bad configuration never replaces a good one, and never half of one.
//! 9. Every refusal of ours is a [`Refusal`](decision::refusal::Refusal), matched without `_`, and one function turns
//!    refusals into responses. What the engine refuses while parsing never reaches us: it is counted at the connection.
//! 10. A cached answer may permit, never refuse.
//!
//! # The modules, in reading order
//!
//! Nobody imports upwards; `tests/tidy.rs` holds the table of who may import whom. What is absent matters as much: the
//! core has no async, clock, lock, engine or deserialisation in it, so everything that decides can be tested with
//! values alone.

pub mod decision;

pub mod telemetry;

mod hashing;

pub mod services;

pub mod sessions;

pub mod signing;

pub mod tokens;

pub mod gate;

pub mod ui;

pub mod proxy;

pub mod ops;

pub mod config;

#[cfg(feature = "dev")]
pub mod dev;

pub mod server;

pub mod cli;
