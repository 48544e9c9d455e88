//! What browsers are shown: the login, and the sign-in pages of the gateway.

use crate::config::UiSettings;
use crate::config::decode::Decoder;
use crate::config::keys;
use crate::config::kratos::Kratos;
use crate::config::listen::web_url;
use crate::config::node::{Kind, Mark, Node};
use crate::config::units::Misread;

/// The login's URL, and where it stands if it is written.
pub(crate) fn login(decoder: &mut Decoder<'_>, node: Option<&Node>, kratos: &Kratos) -> (String, Option<Mark>) {
    let default = format!("{}/self-service/login/browser", kratos.path_prefix);
    let Some(node) = node else { return (default, None) };
    let Some((node, _)) = decoder.only_or(node, keys::LOGIN, "url") else { return (default, None) };
    match decoder.parsed(node, page_url) {
        Some(url) => (url, Some(node.mark)),
        None => (default, None),
    }
}

pub(crate) fn page_url(text: &str) -> Result<String, Misread> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>')) {
        return Err(Misread::new("has a character that no URL has; write it as `%XX`"));
    }
    if text.contains('#') {
        return Err(Misread::new("has a fragment, which would swallow `return_to`"));
    }
    if text.starts_with("//") {
        return Err(Misread::new("names a host without a scheme"));
    }
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    if !text.contains("://") {
        return Err(Misread::meant("is neither a path on this host nor a whole URL", format!("/{text}")));
    }
    web_url(text).map(|_| text.to_owned())
}

/// The sign-in pages; off unless configured.
pub(crate) fn ui(decoder: &mut Decoder<'_>, node: &Node, kratos: &Kratos) -> Option<UiSettings> {
    let mut settings = UiSettings::default();
    let prefix = if let Kind::Scalar(_) = node.kind {
        Some(node)
    } else {
        let fields = decoder.fields(node, keys::UI)?;
        if let Some(brand) = fields.get("brand").and_then(|node| decoder.parsed(node, brand)) {
            settings.brand = brand;
        }
        if let Some(theme) = fields.get("theme").and_then(|node| decoder.choice(node, keys::THEME)) {
            settings.theme = theme;
        }
        if let Some(home) = fields.get("home").and_then(|node| decoder.parsed(node, page_url)) {
            settings.home = home;
        }
        fields.get("path_prefix")
    };
    if let Some(node) = prefix {
        settings.path_prefix = decoder.prefix(node)?;
        if settings.path_prefix.is_empty() {
            decoder.report.fault(node.mark, "the pages cannot own every path; give them a prefix like `/ui`");
            return None;
        }
        if kratos.serve && kratos.owns(&settings.path_prefix) {
            decoder.report.fault(node.mark, "the pages cannot stand among the paths of Kratos' public API");
            return None;
        }
    }
    Some(settings)
}

fn brand(text: &str) -> Result<String, Misread> {
    match text.chars().count() {
        1..=64 if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(Misread::new("is not a name of 1 to 64 characters in one line")),
    }
}
