//! Self-service pages: renders the `ui.nodes` of any Kratos flow.
