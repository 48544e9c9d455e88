//! Parses the arguments, runs the command, exits with its status.

fn main() {}
