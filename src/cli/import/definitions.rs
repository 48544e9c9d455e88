//! What rules use by its name: written once at the top, however many rules use it.

use serde_json::{Map, Value, json};

/// The named parts of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Definitions {
    pub(super) authenticators: Vec<(String, Value)>,
    pub(super) authorizers: Vec<(String, Value)>,
    pub(super) enrichers: Vec<(String, Value)>,
    /// In whose name tokens are signed.
    pub(super) issuer: Option<String>,
}

/// The file of the key that signs; whoever imports makes it.
pub(super) const KEY: &str = "id_token.pem";

impl Definitions {
    /// Every section with its name, where it has anything in it.
    pub(super) fn sections(&self) -> Vec<(&'static str, Value)> {
        let named = [
            ("authenticators", &self.authenticators),
            ("authorizers", &self.authorizers),
            ("enrichers", &self.enrichers),
        ];
        let named = named.into_iter().filter(|(_, all)| !all.is_empty());
        let named = named.map(|(section, all)| (section, Value::Object(all.iter().cloned().collect::<Map<_, _>>())));
        let signer = self.issuer.as_ref().map(|issuer| ("id_token", json!({ "issuer": issuer, "keys": KEY })));
        named.chain(signer).collect()
    }

    /// Takes out what is faulty.
    pub(super) fn forget(&mut self, section: &str, name: &str) {
        match section {
            "authenticators" => self.authenticators.retain(|(own, _)| own != name),
            "authorizers" => self.authorizers.retain(|(own, _)| own != name),
            "enrichers" => self.enrichers.retain(|(own, _)| own != name),
            _ => {}
        }
    }
}

/// The name of a definition: that of its equal, or a new one.
pub(super) fn named(all: &mut Vec<(String, Value)>, base: &str, definition: Value) -> String {
    if let Some((name, _)) = all.iter().find(|(_, known)| *known == definition) {
        return name.clone();
    }
    let is_free = |name: &String| all.iter().all(|(known, _)| known != name);
    let numbered = (2_usize..).map(|number| format!("{base}-{number}"));
    let name = std::iter::once(base.to_owned()).chain(numbered).find(is_free).unwrap_or_default();
    all.push((name.clone(), definition));
    name
}
