//! The commands: serve, dev, check, explain, import and schema.
