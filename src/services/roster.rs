//! Those who can be asked, by name; across a reload also those whom only the policy before it names.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

type ByName<T> = HashMap<Box<str>, Arc<T>>;

/// Requests keep the policy that they began with, so whoever a reload takes away can be asked until the next one.
pub(crate) struct Roster<T> {
    now: ArcSwap<ByName<T>>,
    before: ArcSwap<ByName<T>>,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self { now: ArcSwap::default(), before: ArcSwap::default() }
    }
}

impl<T> Roster<T> {
    /// The one of this name whose settings are those that the request's policy has.
    pub(crate) fn get(&self, name: &str, is_same: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let of = |roster: &ArcSwap<ByName<T>>| roster.load().get(name).filter(|known| is_same(known)).cloned();
        of(&self.now).or_else(|| of(&self.before))
    }

    /// Those of `wanted` by name, each the one it was where `is_same` says so, else one that `meet` makes.
    pub(crate) fn replace<'w, W>(
        &self,
        wanted: impl Iterator<Item = (&'w str, W)>,
        is_same: impl Fn(&T, &W) -> bool,
        meet: impl Fn(&W) -> T,
    ) -> Vec<&'w str> {
        let old = self.now.load_full();
        let mut new = ByName::default();
        let mut names = Vec::new();
        for (name, wanted) in wanted {
            if !new.contains_key(name) {
                let same = old.get(name).filter(|old| is_same(old, &wanted)).cloned();
                new.insert(name.into(), same.unwrap_or_else(|| Arc::new(meet(&wanted))));
                names.push(name);
            }
        }
        // In this order nobody is missing in between.
        self.before.store(old);
        self.now.store(Arc::new(new));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_a_reload_takes_away_can_be_asked_until_the_next_one() {
        let roster = Roster::<u8>::default();
        let replace =
            |wanted: &[(&'static str, u8)]| roster.replace(wanted.iter().copied(), |old, new| old == new, |new| *new);
        assert_eq!(replace(&[("keto", 1), ("opa", 2), ("keto", 1)]), ["keto", "opa"]);
        let get = |name, settings| roster.get(name, |known| *known == settings);
        let opa = get("opa", 2).unwrap();
        replace(&[("opa", 2)]);
        assert!(Arc::ptr_eq(&get("opa", 2).unwrap(), &opa), "what did not change keeps what is known of it");
        assert_eq!(get("keto", 1).as_deref(), Some(&1));
        replace(&[("opa", 3)]);
        assert!(get("keto", 1).is_none());
        assert_eq!(get("opa", 3).as_deref(), Some(&3));
        assert_eq!(get("opa", 2).as_deref(), Some(&2), "nobody is judged by settings that its policy does not have");
    }
}
