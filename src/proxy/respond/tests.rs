//! Every refusal for every kind of client, and the way back to the letter.

use serde_json::{Value, json};

use super::*;
use crate::decision::dress;
use crate::decision::request::Ambiguous;

const PLACE: Place<'_> = Place {
    scheme: Scheme::Https,
    host: "shop.example.com",
    authority: "shop.example.com:8443",
    origin_form: "/api/orders?a=b&c=%20",
};

fn login(url: &str) -> Login {
    Login { url: url.into() }
}

fn context<'a>(login: &'a Login, method: &'a Method, client: ClientKind, on_refusal: OnRefusal) -> RefusalContext<'a> {
    let dress = match on_refusal {
        OnRefusal::Auto => &dress::AUTO,
        OnRefusal::Json => &Dress::Usual(OnRefusal::Json),
        OnRefusal::Redirect => &Dress::Usual(OnRefusal::Redirect),
    };
    RefusalContext { login, public_url: None, method, client, dress, place: Some(PLACE), request_id: "r-1" }
}

fn header<'r>(response: &'r Response, name: &HeaderName) -> Option<&'r str> {
    response.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.to_str().unwrap())
}

fn every_refusal() -> Vec<Refusal> {
    vec![
        Refusal::Ambiguous(Ambiguous::DotSegment),
        Refusal::CrossOrigin,
        Refusal::Forbidden,
        Refusal::HeadTooLarge,
        Refusal::Internal,
        Refusal::LogIn,
        Refusal::Malformed,
        Refusal::MethodNotListed(HeaderValue::from_static("GET, HEAD")),
        Refusal::NoRule,
        Refusal::NoToken,
        Refusal::Outage,
        Refusal::Undecided,
        Refusal::Refresh,
        Refusal::StepUp,
        Refusal::Throttled(Some(HeaderValue::from_static("17"))),
        Refusal::TooLarge,
        Refusal::TooSlow,
        Refusal::Unverified,
        Refusal::UpstreamFailed,
        Refusal::UpstreamTimedOut,
    ]
}

#[test]
fn every_refusal_has_its_status_for_every_kind_of_client() {
    let statuses = [400, 403, 403, 431, 500, 401, 400, 405, 404, 401, 503, 503, 403, 403, 429, 413, 408, 403, 502, 504];
    let login = login("/login");
    for (refusal, status) in every_refusal().iter().zip(statuses) {
        for client in [ClientKind::Json, ClientKind::Navigation, ClientKind::Submission] {
            for on_refusal in [OnRefusal::Auto, OnRefusal::Json, OnRefusal::Redirect] {
                let response = respond(refusal, &context(&login, &Method::GET, client, on_refusal));
                let signs_in = matches!(refusal, Refusal::LogIn | Refusal::Refresh | Refusal::StepUp);
                let redirects = match on_refusal {
                    OnRefusal::Auto => client == ClientKind::Navigation,
                    OnRefusal::Json => false,
                    OnRefusal::Redirect => true,
                };
                let case = format!("{refusal:?} {client:?} {on_refusal:?}");
                assert_eq!(header(&response, &CACHE_CONTROL), Some("no-store"), "{case}");
                if signs_in && redirects {
                    assert_eq!(response.status, StatusCode::SEE_OTHER, "{case}");
                    assert!(header(&response, &LOCATION).is_some_and(|to| to.starts_with("/login?")), "{case}");
                    continue;
                }
                assert_eq!(response.status.as_u16(), status, "{case}");
                assert_eq!(header(&response, &LOCATION), None, "{case}");
                let is_html = client != ClientKind::Json && on_refusal != OnRefusal::Json;
                let content = if is_html { "text/html; charset=utf-8" } else { "application/json" };
                assert_eq!(header(&response, &CONTENT_TYPE), Some(content), "{case}");
                assert_eq!(header(&response, &CONTENT_SECURITY_POLICY).is_some(), is_html, "{case}");
                assert!(!response.body.is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn json_is_the_envelope_of_kratos() {
    let login = login("/login");
    for refusal in every_refusal() {
        let response = respond(&refusal, &context(&login, &Method::GET, ClientKind::Json, OnRefusal::Auto));
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["error"]["id"], refusal.id());
        assert_eq!(body["error"]["code"], refusal.status().as_u16());
        assert_eq!(body["error"]["status"], refusal.status().canonical_reason().unwrap());
        assert_eq!(body["error"]["request"], "r-1");
        assert!(body["error"]["reason"].is_string() && body["error"]["message"].is_string());
        let leads = matches!(refusal, Refusal::StepUp | Refusal::Refresh);
        assert_eq!(body.get("redirect_browser_to").is_some(), leads, "{refusal:?}");
    }
    let response = respond(&Refusal::StepUp, &context(&login, &Method::GET, ClientKind::Json, OnRefusal::Auto));
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    let to = "https://shop.example.com:8443/login?aal=aal2\
              &return_to=https%3A%2F%2Fshop.example.com%3A8443%2Fapi%2Forders%3Fa%3Db%26c%3D%2520";
    assert_eq!(body["redirect_browser_to"], json!(to));
}

#[test]
fn what_the_status_promises_is_in_the_headers() {
    let login = login("/login");
    let context = context(&login, &Method::GET, ClientKind::Json, OnRefusal::Auto);
    let allow = Refusal::MethodNotListed(HeaderValue::from_static("GET, HEAD"));
    assert_eq!(header(&respond(&allow, &context), &ALLOW), Some("GET, HEAD"));
    assert_eq!(header(&respond(&Refusal::Outage, &context), &RETRY_AFTER), Some("1"));
    let throttled = Refusal::Throttled(Some(HeaderValue::from_static("17")));
    assert_eq!(header(&respond(&throttled, &context), &RETRY_AFTER), Some("17"));
    assert_eq!(header(&respond(&Refusal::Throttled(None), &context), &RETRY_AFTER), None);
}

#[test]
fn the_way_back_is_exact() {
    let back = "return_to=https%3A%2F%2Fshop.example.com%3A8443%2Fapi%2Forders%3Fa%3Db%26c%3D%2520";
    for (url, refusal, expected) in [
        ("/login", Refusal::LogIn, format!("/login?{back}")),
        ("/login", Refusal::Refresh, format!("/login?refresh=true&{back}")),
        ("/login", Refusal::StepUp, format!("/login?aal=aal2&{back}")),
        ("/login?via=x", Refusal::LogIn, format!("/login?via=x&{back}")),
        ("/login?", Refusal::StepUp, format!("/login?aal=aal2&{back}")),
        ("https://id.example.com/in?a=b#top", Refusal::LogIn, format!("https://id.example.com/in?a=b&{back}#top")),
    ] {
        let login = login(url);
        let response = respond(&refusal, &context(&login, &Method::GET, ClientKind::Navigation, OnRefusal::Auto));
        assert_eq!(header(&response, &LOCATION), Some(&*expected));
    }
}

#[test]
fn the_public_url_names_its_own_host_only() {
    let login = login("/login");
    for (host, expected) in [
        ("shop.example.com", "/login?return_to=http%3A%2F%2Fshop.example.com%2Fapi%2Forders%3Fa%3Db%26c%3D%2520"),
        (
            "other.example.com",
            "/login?return_to=https%3A%2F%2Fshop.example.com%3A8443%2Fapi%2Forders%3Fa%3Db%26c%3D%2520",
        ),
    ] {
        let public = PublicUrl { origin: format!("http://{host}").into(), host: host.into() };
        let mut context = context(&login, &Method::GET, ClientKind::Navigation, OnRefusal::Auto);
        context.public_url = Some(&public);
        assert_eq!(header(&respond(&Refusal::LogIn, &context), &LOCATION), Some(expected));
    }
}

#[test]
fn a_form_is_never_lost_to_a_redirect() {
    let login = login("/login");
    for on_refusal in [OnRefusal::Auto, OnRefusal::Redirect] {
        let response = respond(&Refusal::LogIn, &context(&login, &Method::POST, ClientKind::Submission, on_refusal));
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert!(std::str::from_utf8(&response.body).unwrap().contains("href=\"/login?return_to="));
    }
}

#[test]
fn head_has_no_body() {
    let login = login("/login");
    for client in [ClientKind::Json, ClientKind::Navigation] {
        let response = respond(&Refusal::NoRule, &context(&login, &Method::HEAD, client, OnRefusal::Auto));
        assert!(response.body.is_empty());
        assert!(header(&response, &CONTENT_TYPE).is_some());
    }
}

#[test]
fn a_rule_may_send_those_whom_it_refuses_wherever_it_says() {
    let login = login("/login");
    let send = |to: &str, return_to: &str| {
        let status = StatusCode::FOUND;
        Dress::Send(Sending { to: to.into(), status, return_to: return_to.into() })
    };
    let back = "https%3A%2F%2Fshop.example.com%3A8443%2Fapi%2Forders%3Fa%3Db%26c%3D%2520";
    for (to, return_to, expected) in [
        ("https://help.example/why", "", "https://help.example/why".to_owned()),
        ("https://help.example/why?a=b", "from", format!("https://help.example/why?a=b&from={back}")),
        ("/sorry", "return_to", format!("/sorry?return_to={back}")),
    ] {
        let dress = send(to, return_to);
        for client in [ClientKind::Json, ClientKind::Navigation] {
            let base = context(&login, &Method::GET, client, OnRefusal::Auto);
            let response = respond(&Refusal::Forbidden, &RefusalContext { dress: &dress, ..base });
            assert_eq!((response.status, header(&response, &LOCATION)), (StatusCode::FOUND, Some(&*expected)));
        }
        // What is not safe to repeat stays here.
        let base = context(&login, &Method::POST, ClientKind::Submission, OnRefusal::Auto);
        let response = respond(&Refusal::Forbidden, &RefusalContext { dress: &dress, ..base });
        assert_eq!((response.status, header(&response, &LOCATION)), (StatusCode::FORBIDDEN, None));
    }
}

#[test]
fn a_challenge_says_how_to_say_who_one_is() {
    let login = login("/login");
    let dress = Dress::Challenge(HeaderValue::from_static("Basic realm=\"orders\""));
    for (client, kind) in [(ClientKind::Json, "application/json"), (ClientKind::Navigation, "text/html; charset=utf-8")]
    {
        let base = context(&login, &Method::GET, client, OnRefusal::Auto);
        let response = respond(&Refusal::Forbidden, &RefusalContext { dress: &dress, ..base });
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(header(&response, &WWW_AUTHENTICATE), Some("Basic realm=\"orders\""));
        assert_eq!(header(&response, &CONTENT_TYPE), Some(kind));
    }
}
