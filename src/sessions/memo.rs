//! Stamps rendered once per session and rule, where they do not depend on the request.

use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::decision::edits::Stamps;
use crate::decision::rule::Rule;

/// A session rarely meets more rules than this between two refreshes.
const MAX_RULES: usize = 8;

/// The stamps of the rules that a session has met.
#[derive(Default)]
pub(crate) struct Memo {
    rendered: Mutex<SmallVec<[(RuleKey, Stamps); 1]>>,
}

/// A rule of one policy. The generation tells it from a later rule at the same address.
#[derive(Clone, Copy, Eq, PartialEq)]
struct RuleKey {
    address: usize,
    generation: u64,
}

impl Memo {
    /// The stamps of `rule`, made by `render` when it is first met.
    pub(crate) fn stamps(&self, generation: u64, rule: &Arc<Rule>, render: impl FnOnce() -> Stamps) -> Stamps {
        let key = RuleKey { address: Arc::as_ptr(rule).addr(), generation };
        if let Some((_, stamps)) = self.rendered.lock().iter().find(|(known, _)| *known == key) {
            return Arc::clone(stamps);
        }
        let stamps = render();
        let mut rendered = self.rendered.lock();
        rendered.retain(|(known, _)| known.generation == generation);
        if rendered.len() == MAX_RULES {
            rendered.remove(0);
        }
        rendered.push((key, Arc::clone(&stamps)));
        stamps
    }
}
