//! What decides about an answer, and what is shared of it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::*;

fn question() -> Question {
    let service = Service {
        name: "keto".into(),
        timeout: Duration::from_secs(1),
        retries: 0,
        ttl: Duration::from_secs(10),
        authorization: None,
        authority: None,
    };
    Question {
        service: Arc::new(service),
        method: Method::POST,
        url: "http://keto/check".to_owned(),
        headers: vec![(HeaderName::from_static("x-a"), HeaderValue::from_static("b"))],
        body: Some("{}".to_owned()),
        caller: None,
    }
}

#[test]
fn everything_that_decides_is_in_the_key() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shared = Services::new(Arc::new(Metrics::new())).shared;
    let known = Known::meet(&question().service);
    let key = shared.key(&known, &question());
    assert_eq!(shared.key(&known, &question()), key);
    let mut other_service = (*question().service).clone();
    other_service.name = "opa".into();
    let header = |name, value| vec![(HeaderName::from_static(name), HeaderValue::from_static(value))];
    for other in [
        Question { service: Arc::new(other_service), ..question() },
        Question { method: Method::GET, ..question() },
        Question { url: "http://keto/check?a".to_owned(), ..question() },
        Question { body: Some("{ }".to_owned()), ..question() },
        Question { body: Some(String::new()), ..question() },
        Question { body: None, ..question() },
        Question { caller: Some("ann".to_owned()), ..question() },
        Question { caller: Some(String::new()), ..question() },
        Question { headers: header("x-a", "c"), ..question() },
        Question { headers: header("x-ab", ""), ..question() },
        Question { headers: Vec::new(), ..question() },
        Question { url: "http://keto/chec".to_owned(), body: Some("k{}".to_owned()), ..question() },
    ] {
        assert_ne!(shared.key(&known, &other), key, "{other:?}");
    }
    assert_ne!(shared.key(&Known::meet(&question().service), &question()), key, "other settings");
}
