//! Decisions as tables: who passes what, and who must be asked first.

use http::{HeaderMap, HeaderValue, Method};
use uuid::Uuid;

use super::*;
use crate::decision::authenticate::{Carried, Introspection, Issuer, OnInvalid, Scopes, Verification};
use crate::decision::expression::{Expression, Facts};
use crate::decision::request::{Head, Scheme};
use crate::decision::session::Aal;

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn known(change: impl FnOnce(&mut Session)) -> Caller {
    let mut session = Session {
        id: Uuid::from_u128(1),
        identity: Uuid::from_u128(2),
        expires_at: at(NOW + 3600),
        authenticated_at: at(NOW - 600),
        aal: Aal::Aal1,
        verified: false,
        stamp: HeaderValue::from_static("ann"),
        tokenized: None,
        facts: None,
    };
    change(&mut session);
    Caller::Known(Arc::new(session))
}

fn issuer() -> Arc<Issuer> {
    let introspection = Introspection {
        url: "http://hydra/introspect".parse().unwrap(),
        authorization: None,
        issuers: Vec::new(),
        audience: Vec::new(),
        leeway: Duration::ZERO,
        timeout: Duration::from_secs(1),
        ttl: Duration::from_secs(60),
        authority: None,
    };
    Arc::new(Issuer {
        name: "hydra".into(),
        carried: Carried::Bearer,
        subject: "sub".into(),
        subject_is_identity: false,
        verification: Verification::Introspection(introspection),
    })
}

fn token(scopes: &[&str]) -> Caller {
    Caller::Token(Arc::new(Token {
        subject: Some("robot".into()),
        stamp: None,
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        expires_at: None,
        claims: Told::new(Value::Map(std::collections::HashMap::<String, Value>::new().into())).unwrap(),
    }))
}

fn rule(access: Access, when: Option<&str>) -> Arc<Rule> {
    let when = when.map(|source| Expression::compile(source).unwrap());
    Arc::new(Rule { when, ..Rule::new("rule", access) })
}

fn session(change: impl FnOnce(&mut Demands)) -> Access {
    let mut demands = Demands::default();
    change(&mut demands);
    Access::Session(demands)
}

/// The decision in a word: `permit`, `permit unnamed`, `ask anew`, or the refusal's id.
fn decided(rule: &Arc<Rule>, caller: Caller, age: Duration) -> &'static str {
    let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("a.example"))]);
    let head = Head { method: &Method::GET, target: b"/x", authority: None, headers: &headers, scheme: Scheme::Http };
    let request = RequestView::parse(head).unwrap();
    let mut evidence = Evidence::new(Answer { caller, age }, Some(0));
    match decide(rule, &mut evidence, &request, &Vec::new(), at(NOW)) {
        Decision::Ask(_) => "ask",
        Decision::AskAnew => "ask anew",
        Decision::Permit(permit) if permit.session().is_some() => "permit",
        Decision::Permit(_) => "permit unnamed",
        Decision::Refuse(refusal) => refusal.id(),
    }
}

const OUTAGE: Caller = Caller::Unknown(Outage::Away);
const THROTTLED: Caller = Caller::Unknown(Outage::Throttled(None));
const REFUSE: Access = Access::Optional { on_outage: OnOutage::Refuse };
const ANONYMOUS: Access = Access::Optional { on_outage: OnOutage::Anonymous };

#[test]
fn every_caller_gets_what_every_access_says() {
    let callers = [Caller::Anonymous, known(|_| {}), Caller::Rejected, Caller::StepUpNeeded, OUTAGE, THROTTLED];
    let table = [
        (Access::Deny, ["forbidden"; 6]),
        (Access::Public, ["permit unnamed"; 6]),
        (
            REFUSE,
            [
                "permit unnamed",
                "permit",
                "permit unnamed",
                "session_aal2_required",
                "kratos_unavailable",
                "too_many_requests",
            ],
        ),
        (
            ANONYMOUS,
            ["permit unnamed", "permit", "permit unnamed", "session_aal2_required", "permit unnamed", "permit unnamed"],
        ),
        (
            session(|_| {}),
            [
                "session_inactive",
                "permit",
                "session_inactive",
                "session_aal2_required",
                "kratos_unavailable",
                "too_many_requests",
            ],
        ),
    ];
    for (access, expected) in table {
        for (caller, expected) in callers.iter().zip(expected) {
            let rule = rule(access.clone(), None);
            assert_eq!(decided(&rule, caller.clone(), Duration::ZERO), expected, "{access:?} {caller:?}");
        }
    }
}

#[test]
fn an_outage_is_never_signed_in_and_never_signed_out() {
    for caller in [OUTAGE, THROTTLED] {
        for access in [session(|_| {}), REFUSE] {
            let word = decided(&rule(access, None), caller.clone(), Duration::ZERO);
            assert!(matches!(word, "kratos_unavailable" | "too_many_requests"), "{word}");
        }
    }
}

#[test]
fn demands_are_held_against_the_session() {
    let within = |seconds| session(|demands| demands.authenticated_within = Some(Duration::from_secs(seconds)));
    for (access, caller, expected) in [
        (session(|d| d.aal = Aal::Aal2), known(|_| {}), "session_aal2_required"),
        (session(|d| d.aal = Aal::Aal2), known(|s| s.aal = Aal::Aal2), "permit"),
        (session(|d| d.aal = Aal::Aal1), known(|s| s.aal = Aal::Aal0), "session_aal2_required"),
        (session(|_| {}), known(|s| s.aal = Aal::Aal0), "permit"),
        (within(600), known(|_| {}), "permit"),
        (within(599), known(|_| {}), "session_refresh_required"),
        (within(1), known(|s| s.authenticated_at = at(NOW + 5)), "permit"),
        (session(|d| d.verified = true), known(|_| {}), "session_verified_address_required"),
        (session(|d| d.verified = true), known(|s| s.verified = true), "permit"),
    ] {
        assert_eq!(decided(&rule(access.clone(), None), caller, Duration::ZERO), expected, "{access:?}");
    }
}

#[test]
fn a_cached_answer_may_permit_but_never_refuse() {
    let old = Duration::from_millis(1001);
    let fresh = Duration::from_secs(1);
    let verified = rule(session(|d| d.verified = true), None);
    assert_eq!(decided(&verified, known(|s| s.verified = true), old), "permit");
    assert_eq!(decided(&verified, known(|_| {}), old), "ask anew");
    assert_eq!(decided(&verified, known(|_| {}), fresh), "session_verified_address_required");
    assert_eq!(decided(&rule(session(|d| d.aal = Aal::Aal2), None), known(|_| {}), old), "ask anew");
    assert_eq!(decided(&rule(session(|_| {}), None), Caller::StepUpNeeded, old), "ask anew");
    assert_eq!(decided(&rule(session(|_| {}), Some("identity != null")), known(|_| {}), old), "ask anew");
    // Whoever is asked about tokens may say more of one by now.
    let mut tokens = Rule::new("rule", session(|_| {}));
    let scopes = Scopes { required: vec!["write".into()], ..Scopes::default() };
    tokens.authenticate = vec![Authenticator::Token { issuer: issuer(), scopes, on_invalid: OnInvalid::Refuse }];
    let tokens = Arc::new(tokens);
    assert_eq!(decided(&tokens, token(&["write"]), old), "permit unnamed");
    assert_eq!(decided(&tokens, token(&["read"]), old), "ask anew");
    assert_eq!(decided(&tokens, token(&["read"]), fresh), "forbidden");
    // What no answer can change is refused at once.
    assert_eq!(decided(&rule(Access::Deny, None), known(|_| {}), old), "forbidden");
    assert_eq!(decided(&rule(session(|_| {}), Some("request.method == 'PUT'")), known(|_| {}), old), "forbidden");
}

#[test]
fn only_the_boolean_true_lets_pass() {
    for (when, expected) in [
        ("true", "permit unnamed"),
        ("1 == 1", "permit unnamed"),
        ("session == null", "permit unnamed"),
        ("request.path == '/x' && request.host == 'a.example'", "permit unnamed"),
        ("false", "forbidden"),
        ("1", "forbidden"),
        ("'true'", "forbidden"),
        ("null", "forbidden"),
        ("identity.traits.admin", "forbidden"),
        ("1 / 0 == 1", "forbidden"),
    ] {
        assert_eq!(decided(&rule(Access::Public, Some(when)), Caller::Anonymous, Duration::ZERO), expected, "{when}");
    }
}

#[test]
fn a_condition_reads_the_facts_of_the_session() {
    let role = |role: &str| {
        let identity: Value = std::collections::HashMap::from([("role", role)]).into();
        known(|session| session.facts = Facts::new(Value::Null, identity))
    };
    let rule = rule(session(|_| {}), Some("identity.role == 'admin'"));
    assert_eq!(decided(&rule, role("admin"), Duration::ZERO), "permit");
    assert_eq!(decided(&rule, role("user"), Duration::ZERO), "forbidden");
}

#[test]
fn nobody_is_asked_who_asks_where_it_does_not_matter() {
    for (access, asks) in [(Access::Deny, false), (Access::Public, false), (REFUSE, true), (session(|_| {}), true)] {
        assert_eq!(rule(access.clone(), None).asks_who(), asks, "{access:?}");
    }
}

/// Services that are asked, and what is asked of them.
mod others {
    use std::collections::HashMap;

    use http::StatusCode;

    use super::*;
    use crate::decision::call::{Call, Check, Enrichment, Meaning, Said, Service};
    use crate::decision::payload::{Absent, Payload};
    use crate::decision::template::Template;
    use crate::decision::url_template::UrlTemplate;

    fn call(name: &str, url: &str) -> Call {
        let service = Service {
            name: name.into(),
            timeout: Duration::from_secs(1),
            retries: 0,
            ttl: Duration::ZERO,
            authorization: None,
            authority: None,
        };
        Call {
            service: Arc::new(service),
            method: Method::POST,
            url: Arc::new(UrlTemplate::parse(url).unwrap()),
            headers: Vec::new(),
            body: None,
            absent: Absent::Null,
        }
    }

    fn check(name: &str, meaning: Meaning) -> Check {
        Check { call: call(name, "http://a/"), meaning, pick: Vec::new() }
    }

    /// A value as an answer would hold it.
    fn json(text: &str) -> Value {
        cel::to_value(serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap()
    }

    fn said(status: u16, body: &str) -> Reply {
        aged(status, body, Duration::ZERO)
    }

    fn aged(status: u16, body: &str, age: Duration) -> Reply {
        Reply::Said(Said {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: if body.is_empty() { Value::Null } else { json(body) },
            length: body.len(),
            age,
            asked_at: std::time::Instant::now(),
        })
    }

    /// Decides, with these replies; the names of those who were asked, and the decision in a word.
    fn asked(rule: Rule, caller: Caller, replies: &[(&str, Reply)]) -> (Vec<String>, &'static str) {
        let rule = Arc::new(rule);
        let replies = replies.iter().cloned().collect::<HashMap<_, _>>();
        let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("a.example"))]);
        let head =
            Head { method: &Method::GET, target: b"/x", authority: None, headers: &headers, scheme: Scheme::Http };
        let request = RequestView::parse(head).unwrap();
        let mut evidence = Evidence::new(Answer::fresh(caller), Some(0));
        let mut names = Vec::new();
        loop {
            match decide(&rule, &mut evidence, &request, &Vec::new(), at(NOW)) {
                Decision::Ask(question) => {
                    let name = question.service.name.to_string();
                    evidence.hear(&rule, &replies[name.as_str()]);
                    names.push(name);
                }
                Decision::AskAnew => return (names, "ask anew"),
                Decision::Permit(_) => return (names, "permit"),
                Decision::Refuse(refusal) => return (names, refusal.id()),
            }
        }
    }

    #[test]
    fn all_must_agree_and_the_first_no_ends_it() {
        let two = || Rule {
            authorize: vec![check("one", Meaning::Status), check("two", Meaning::Status)],
            ..Rule::new("rule", session(|_| {}))
        };
        for (one, other, names, expected) in [
            (200, 200, &["one", "two"][..], "permit"),
            (204, 403, &["one", "two"], "forbidden"),
            (403, 200, &["one"], "forbidden"),
            (500, 200, &["one"], "decision_unavailable"),
            (200, 404, &["one", "two"], "decision_unavailable"),
        ] {
            let replies = [("one", said(one, "")), ("two", said(other, ""))];
            assert_eq!(
                asked(two(), known(|_| {}), &replies),
                (names.iter().map(ToString::to_string).collect(), expected)
            );
        }
    }

    #[test]
    fn nobody_is_asked_about_those_who_do_not_pass_anyway() {
        let rule = |access, when: Option<&str>| Rule {
            when: when.map(|when| Expression::compile(when).unwrap()),
            enrich: vec![Enrichment { call: call("told", "http://a/"), required: true }],
            authorize: vec![check("one", Meaning::Status)],
            ..Rule::new("rule", access)
        };
        let replies = [("told", said(200, "{}")), ("one", said(200, ""))];
        for (access, caller, expected) in [
            (session(|_| {}), Caller::Anonymous, "session_inactive"),
            (session(|d| d.aal = Aal::Aal2), known(|_| {}), "session_aal2_required"),
            (session(|_| {}), OUTAGE, "kratos_unavailable"),
            (Access::Deny, known(|_| {}), "forbidden"),
        ] {
            assert_eq!(asked(rule(access, None), caller, &replies), (Vec::new(), expected));
        }
        // What `when` refuses, nobody need agree to.
        let refused = asked(rule(session(|_| {}), Some("false")), known(|_| {}), &replies);
        assert_eq!(refused, (vec!["told".to_owned()], "forbidden"));
        // Of nobody there is nothing to tell; whether nobody may pass can still be asked.
        assert_eq!(asked(rule(REFUSE, None), Caller::Anonymous, &replies), (vec!["one".to_owned()], "permit"));
    }

    #[test]
    fn what_was_told_can_be_read_and_silence_lets_nobody_pass_who_needs_it() {
        let rule = |required| Rule {
            enrich: vec![Enrichment { call: call("profile", "http://a/"), required }],
            when: Some(Expression::compile("context.profile == null || context.profile.plan == 'gold'").unwrap()),
            ..Rule::new("rule", session(|_| {}))
        };
        for (required, reply, expected) in [
            (true, said(200, r#"{"plan":"gold"}"#), "permit"),
            (true, said(200, r#"{"plan":"tin"}"#), "forbidden"),
            (true, aged(200, r#"{"plan":"tin"}"#, Duration::from_secs(2)), "ask anew"),
            (true, said(404, r#"{"plan":"gold"}"#), "decision_unavailable"),
            (true, said(200, ""), "decision_unavailable"),
            (true, Reply::Silence, "decision_unavailable"),
            (false, Reply::Silence, "permit"),
            (false, said(200, r#"{"plan":"tin"}"#), "forbidden"),
        ] {
            let (_, decided) = asked(rule(required), known(|_| {}), &[("profile", reply.clone())]);
            assert_eq!(decided, expected, "{required} {reply:?}");
        }
    }

    #[test]
    fn half_a_question_is_a_no() {
        let body = |hole: &str| {
            let text = Template::parse(hole).unwrap();
            Some(Arc::new(Payload::Map(vec![("subject_id".into(), Payload::Word(text))])))
        };
        for (hole, names, expected) in [
            ("${subject}", &["keto"][..], "permit"),
            ("user:${subject}", &["keto"], "permit"),
            ("${identity.nothing}", &[], "forbidden"),
            ("user:${identity.nothing}", &[], "forbidden"),
            ("${''}", &[], "forbidden"),
        ] {
            let mut check = check("keto", Meaning::Allowed);
            (check.call.body, check.call.absent) = (body(hole), Absent::Nothing);
            let rule = Rule { authorize: vec![check], ..Rule::new("rule", session(|_| {})) };
            let decided = asked(rule, known(|_| {}), &[("keto", said(200, r#"{"allowed":true}"#))]);
            assert_eq!(decided, (names.iter().map(ToString::to_string).collect(), expected), "{hole}");
        }
        // A header without a value is left out; one whose value cannot be sent would ask about something else.
        for (hole, expected) in [("${identity.nothing}", "permit"), ("${'a\\tb'}", "forbidden")] {
            let mut check = check("keto", Meaning::Allowed);
            check.call.headers = vec![Arc::new(HeaderTemplate::parse("X-Tenant", hole).unwrap())];
            let rule = Rule { authorize: vec![check], ..Rule::new("rule", session(|_| {})) };
            assert_eq!(asked(rule, known(|_| {}), &[("keto", said(200, r#"{"allowed":true}"#))]).1, expected, "{hole}");
        }
    }

    #[test]
    fn what_tells_nothing_is_not_kept() {
        let enrichment = Enrichment { call: call("profiles", "http://profiles/"), required: false };
        let rule = Rule { enrich: vec![enrichment], ..Rule::new("rule", session(|_| {})) };
        for (body, heard) in [(r#"{"a":1}"#, Heard::Yes), ("null", Heard::Nothing)] {
            let mut evidence = Evidence::new(Answer::fresh(known(|_| {})), Some(0));
            assert_eq!(evidence.hear(&rule, &said(200, body)), heard, "{body}");
        }
    }

    #[test]
    fn every_answer_is_a_yes_a_no_or_none() {
        let all = Meaning::AllAllowed(2);
        for (meaning, status, body, expected) in [
            (Meaning::Allowed, 200, r#"{"allowed":true}"#, "permit"),
            (Meaning::Allowed, 200, r#"{"allowed":false}"#, "forbidden"),
            (Meaning::Allowed, 403, r#"{"allowed":false}"#, "forbidden"),
            (Meaning::Allowed, 403, "", "decision_unavailable"),
            (Meaning::Allowed, 200, r#"{"allowed":"true"}"#, "decision_unavailable"),
            (Meaning::Allowed, 200, "{}", "decision_unavailable"),
            (Meaning::Allowed, 201, r#"{"allowed":true}"#, "decision_unavailable"),
            (all, 200, r#"{"results":[{"allowed":true},{"allowed":true,"error":""}]}"#, "permit"),
            (all, 200, r#"{"results":[{"allowed":true},{"allowed":false}]}"#, "forbidden"),
            (all, 200, r#"{"results":[{"allowed":true}]}"#, "decision_unavailable"),
            (all, 200, r#"{"results":[{"allowed":true},{"allowed":true},{"allowed":true}]}"#, "decision_unavailable"),
            (all, 200, r#"{"results":[{"allowed":true},{"allowed":true,"error":"odd"}]}"#, "decision_unavailable"),
            (all, 200, r#"{"results":[{"allowed":true},{}]}"#, "decision_unavailable"),
            (Meaning::Result, 200, r#"{"result":true}"#, "permit"),
            (Meaning::Result, 200, r#"{"result":{"allow":true}}"#, "permit"),
            (Meaning::Result, 200, r#"{"result":false}"#, "forbidden"),
            (Meaning::Result, 200, r#"{"result":{"allow":false}}"#, "forbidden"),
            (Meaning::Result, 200, r#"{"result":{}}"#, "forbidden"),
            (Meaning::Result, 200, "{}", "forbidden"),
            (Meaning::Result, 200, r#"{"result":"yes"}"#, "decision_unavailable"),
            (Meaning::Result, 200, r#"{"result":{"allow":1}}"#, "decision_unavailable"),
            (Meaning::Result, 200, r#"["result"]"#, "decision_unavailable"),
            (Meaning::Result, 200, "", "decision_unavailable"),
            (Meaning::Result, 500, r#"{"result":true}"#, "decision_unavailable"),
            (Meaning::Status, 200, "", "permit"),
            (Meaning::Status, 401, "", "decision_unavailable"),
            (Meaning::Status, 302, "", "decision_unavailable"),
        ] {
            let rule = Rule { authorize: vec![check("one", meaning)], ..Rule::new("rule", session(|_| {})) };
            let (_, decided) = asked(rule, known(|_| {}), &[("one", said(status, body))]);
            assert_eq!(decided, expected, "{meaning:?} {status} {body}");
        }
    }
}
