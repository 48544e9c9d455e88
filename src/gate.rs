//! The one path from a request to a decision, shared by the proxy, the decision API and `explain`.
