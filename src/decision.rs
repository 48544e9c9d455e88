//! The pure core: what a request means, which rule owns it, who asks, and whether they may pass.
