//! Parses the arguments, runs the command, exits with its status.

use std::process::ExitCode;

/// A bare proxy of the same engine spends about a seventh less CPU per request with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::run()
}
