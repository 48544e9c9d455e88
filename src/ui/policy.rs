//! The Content-Security-Policy of a page, and the other headers that keep it to itself.

use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::ui::flow::{Body, Flow, Script};
use crate::ui::links;

/// What a page may load and where its forms may lead, beyond its own origin.
#[derive(Debug, Default)]
pub(super) struct ContentPolicy {
    scripts: Vec<String>,
    form_targets: Vec<String>,
    /// Origins whose scripts are Kratos' own.
    kratos: Vec<String>,
}

impl ContentPolicy {
    /// For pages without a flow.
    pub(super) fn plain() -> Self {
        Self::default()
    }

    /// For the page of a flow that is shown on `origin`.
    ///
    /// Chromium holds `form-action` against every redirect that follows a submit. So it has to name not only Kratos,
    /// where the form goes, but also where Kratos sends the browser next: the address to return to, and for a sign-in
    /// with another service an origin that nobody here knows, which is why such a page allows any over https.
    pub(super) fn of(flow: &Flow, origin: &str, home: &str) -> Self {
        let kratos: Vec<String> =
            [Some(origin.to_owned()), links::origin(&flow.action)].into_iter().flatten().collect();
        let named = [Some(flow.action.as_str()), flow.return_to.as_deref(), Some(home)];
        let mut form_targets: Vec<String> = named.into_iter().flatten().filter_map(links::origin).collect();
        let elsewhere = flow.nodes.iter().any(|node| matches!(node.group.as_str(), "oidc" | "saml"));
        if elsewhere || flow.login_challenge.is_some() {
            form_targets.push("https:".to_owned());
        }
        form_targets.retain(|target| target != origin);
        form_targets.dedup();
        let mut policy = Self { scripts: Vec::new(), form_targets, kratos };
        let foreign = |script: &&Script| links::origin(&script.src).is_some_and(|from| from != origin);
        policy.scripts = policy.scripts(flow).into_iter().filter(foreign).filter_map(exact).collect();
        policy
    }

    /// The scripts of a flow that may run: those of Kratos itself, each once.
    pub(super) fn scripts<'a>(&self, flow: &'a Flow) -> Vec<&'a Script> {
        let mut scripts: Vec<&Script> = Vec::new();
        for node in &flow.nodes {
            let Body::Script(script) = &node.body else { continue };
            let Some(src) = links::safe(&script.src) else { continue };
            let ours = links::origin(src).is_none_or(|from| self.kratos.contains(&from));
            if ours && scripts.iter().all(|known| known.src != script.src) {
                scripts.push(script);
            }
        }
        scripts
    }

    pub(super) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let scripts = spaced(&self.scripts);
        let forms = spaced(&self.form_targets);
        let csp = format!(
            "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'{scripts}; \
             form-action 'self'{forms}; base-uri 'none'; frame-ancestors 'none'"
        );
        // Every source is an origin or address that the URL parser wrote, hence ASCII; without a policy no page.
        let csp = HeaderValue::from_str(&csp).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        vec![
            (CONTENT_SECURITY_POLICY, csp),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        ]
    }
}

/// The very address of a script, without what a source expression may not hold: it would end the directive.
fn exact(script: &Script) -> Option<String> {
    let mut url = links::web(&script.src)?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url.as_str().replace(';', "%3B").replace(',', "%2C"))
}

fn spaced(sources: &[String]) -> String {
    sources.iter().map(|source| format!(" {source}")).collect()
}
