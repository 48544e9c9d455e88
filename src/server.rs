//! Assembly: from a configuration to listening services, readiness and drain.
