//! Other proxies ask what the gateway would do, over HTTP and as Envoy does.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use crate::harness::{Client, Gateway, Kratos, Reply, exchange};

const IDENTITY: &str = "x-kratos-authenticated-identity-id";

/// A gateway whose rules are for decisions, with listeners of its own for them.
fn gateway(kratos: &Kratos, decisions: &str) -> Gateway {
    Gateway::start(&format!(
        "kratos: {}\ndecisions: {decisions}\nrules:
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public }}
  - {{ id: either, match: {{ paths: [/either/**] }}, access: optional }}
  - {{ id: private, match: {{ paths: [/private/**] }}, access: session, headers: {{ X-Email: '${{identity.traits.email}}' }} }}
  - {{ id: posts, match: {{ paths: [/posts], methods: POST }}, access: session }}
  - {{ id: secure, match: {{ schemes: https, hosts: pay.example, paths: [/secure] }}, access: public }}
  - {{ id: vault, match: {{ paths: [/vault] }}, access: session, require: {{ aal: aal2 }} }}
  - {{ id: proxied, match: {{ paths: [/proxied] }}, access: session, upstream: 'http://127.0.0.1:9' }}
",
        kratos.url()
    ))
}

const OWN: &str = "127.0.0.1:0";

fn address(gateway: &Gateway) -> SocketAddr {
    gateway.running().decisions_address().expect("a listener for decisions")
}

/// Asks as Traefik and Caddy do, `rest` being what the address has behind `/decisions`.
fn ask(gateway: &Gateway, rest: &str, method: &str, uri: &str) -> Client {
    Client::new(address(gateway), "GET", &format!("/decisions{rest}"))
        .header("x-forwarded-method", method)
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example")
        .header("x-forwarded-uri", uri)
}

fn removed(reply: &Reply) -> Vec<&str> {
    reply.header("x-portcullis-remove").unwrap_or_default().split(", ").collect()
}

#[test]
fn a_permit_is_an_empty_200_with_the_headers_for_the_service() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, OWN);
    let ann = kratos.sign_in("ann@example.com");
    for uri in ["/private/a?b=c", "/either/a"] {
        let reply = ask(&gateway, "", "GET", uri).cookie(&ann.cookie).send();
        assert_eq!((reply.status, &*reply.body), (200, &b""[..]), "{reply:?}");
        assert_eq!(reply.all(IDENTITY), [ann.identity_id.to_string()]);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-email"), (uri != "/either/a").then_some("ann@example.com"));
    }
    let reply = ask(&gateway, "", "POST", "/proxied").token(&ann.token).send();
    assert_eq!((reply.status, reply.header(IDENTITY)), (200, Some(&*ann.identity_id.to_string())));
    assert_eq!(kratos.whoami_count(), 2, "one for each credential: decisions share the cache");
    let reply = ask(&gateway, "", "GET", "/either/a").send();
    assert_eq!((reply.status, reply.header(IDENTITY)), (200, None));
}

#[test]
fn what_must_not_reach_the_service_is_listed() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, OWN);
    let ann = kratos.sign_in("ann@example.com");
    let spoofed = |uri| ask(&gateway, "", "GET", uri).header("X_Email", "root").header("X-Email", "root");
    let reply = spoofed("/open/a").token(&ann.token).send();
    assert_eq!(removed(&reply), [IDENTITY, "x-email", "x_email", "x-session-token"]);
    assert_eq!(reply.header("x-email"), None);
    let reply = spoofed("/private/a").token(&ann.token).send();
    assert_eq!(removed(&reply), ["x_email", "x-session-token"], "what is set is not removed again");
    assert_eq!(reply.all("x-email"), ["ann@example.com"]);
}

#[test]
fn a_refusal_is_what_the_client_is_to_see() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, OWN);
    let ann = kratos.sign_in("ann@example.com");
    let reply = ask(&gateway, "", "GET", "/private/a").header("x-request-id", "abc-1").send();
    assert_eq!((reply.status, reply.error_id().as_str()), (401, "session_inactive"));
    assert_eq!(reply.header("x-request-id"), Some("abc-1"));
    let reply = ask(&gateway, "", "GET", "/private/a?b=c").browser().send();
    let login = "/self-service/login/browser?return_to=https%3A%2F%2Fshop.example%2Fprivate%2Fa%3Fb%3Dc";
    assert_eq!((reply.status, reply.header("location")), (303, Some(login)));
    let reply = ask(&gateway, "", "POST", "/private/a").browser().send();
    assert_eq!(reply.status, 401, "a submitted form would be lost");
    let reply = ask(&gateway, "", "GET", "/posts").cookie(&ann.cookie).send();
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    let reply = ask(&gateway, "", "GET", "/vault").cookie(&ann.cookie).send();
    assert_eq!((reply.status, reply.error_id().as_str()), (403, "session_aal2_required"));
    assert_eq!(ask(&gateway, "", "GET", "/nowhere").send().status, 404);
    assert_eq!(ask(&gateway, "", "TRACE", "/open/a").send().status, 405);
    for odd in ["/open/../private/a", "/open/%2e%2e/private/a", "/open//a", "/open/a%2fb", "/open/a;b", "/open/%zz"] {
        let reply = ask(&gateway, "", "GET", odd).send();
        assert_eq!((reply.status, reply.error_id().as_str()), (400, "ambiguous_request"), "{odd}");
    }
    kratos.switches().fail(true);
    let reply = ask(&gateway, "", "GET", "/private/a").token("another").send();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
}

#[test]
fn what_the_gateway_itself_serves_is_not_for_others_to_pass_on() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, OWN);
    for uri in ["/self-service/login/browser", "/sessions/whoami"] {
        assert_eq!(ask(&gateway, "", "GET", uri).send().status, 404, "{uri}");
    }
}

#[test]
fn a_path_below_is_the_request_itself_also_for_operators() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, OWN);
    let ann = kratos.sign_in("ann@example.com");
    let own = |method, target: &str| Client::new(address(&gateway), method, target);
    assert_eq!(own("GET", "/decisions/private/a?b=c").cookie(&ann.cookie).send().status, 200);
    assert_eq!(own("GET", "/decisions/private/a").send().status, 401);
    assert_eq!(own("POST", "/decisions/posts").cookie(&ann.cookie).body("a body").send().status, 200);
    assert_eq!(own("GET", "/decisions/posts").cookie(&ann.cookie).send().status, 405);
    let secure = || own("GET", "/decisions/secure").header("host", "pay.example");
    assert_eq!(secure().send().status, 404);
    assert_eq!(secure().header("x-forwarded-proto", "https").send().status, 200);
    for (name, value) in [("x-forwarded-uri", "/open/a"), ("x-original-method", "POST"), ("x-forwarded-host", "other")]
    {
        assert_eq!(own("GET", "/decisions/private/a").header(name, value).send().status, 400, "{name}");
    }
    assert_eq!(gateway.ops("GET", "/decisions/open/a").status, 200);
    assert_eq!(gateway.ops("GET", "/decisions").status, 400, "nothing says what is asked about");
}

#[test]
fn on_operators_listener_the_token_is_no_credential_of_the_client() {
    let kratos = Kratos::start();
    let gateway = Gateway::start(&format!(
        "ops: {{ address: '127.0.0.1:0', token: ory_st_operator }}\nkratos: {}\nrules: [{{ id: a, access: session }}]",
        kratos.url()
    ));
    assert_eq!(gateway.ops("GET", "/decisions/a").status, 401);
    let before = kratos.whoami_count();
    let reply = gateway.ops_with("GET", "/decisions/a", &[("authorization", "Bearer ory_st_operator")], "");
    assert!(reply.body.contains("session_inactive"), "{reply:?}");
    assert_eq!(kratos.whoami_count(), before, "Kratos is not asked about it");
    assert_eq!(gateway.running().decisions_address(), None);
}

#[test]
fn only_trusted_proxies_are_answered() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, "{ address: '127.0.0.1:0', grpc: '127.0.0.1:0', trusted_proxies: [10.0.0.0/8] }");
    let request = b"GET /decisions/open/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let reply = exchange(address(&gateway), request, false);
    assert_eq!((reply.status, reply.error_id().as_str()), (403, "untrusted_proxy"));
    assert_eq!(gateway.ops("GET", "/decisions/open/a").status, 403);
    assert_eq!(envoy_asks(&gateway, CHECK, &question("GET", "/open/a", &[])).grpc_status(), "7");
}

#[test]
fn nginx_gets_statuses_that_it_can_carry_and_the_refusal_when_it_asks_again() {
    let kratos = Kratos::start();
    let by_word = gateway(&kratos, OWN);
    let by_key = gateway(&kratos, "{ address: '127.0.0.1:0', statuses: nginx }");
    for (gateway, rest) in [(&by_word, "?nginx"), (&by_key, "")] {
        for (method, uri, expected, refusal) in [
            ("GET", "/private/a", 401, "401 session_inactive"),
            ("GET", "/nowhere", 403, "404 no_rule"),
            ("GET", "/posts", 403, "405 method_not_allowed"),
            ("GET", "/open/../a", 403, "400 ambiguous_request"),
        ] {
            let reply = ask(gateway, rest, method, uri).send();
            assert_eq!((reply.status, reply.header("x-portcullis-refusal")), (expected, Some(refusal)), "{uri}");
            let again = ask(gateway, "?refused", method, uri).send();
            assert_eq!(
                (again.status.to_string().as_str(), again.header("x-portcullis-refusal")),
                (&refusal[..3], None)
            );
        }
        let reply = ask(gateway, rest, "GET", "/private/a").browser().send();
        assert_eq!((reply.status, reply.header("x-portcullis-refusal")), (401, Some("303 session_inactive")));
        assert!(reply.header("location").is_some());
        assert_eq!(ask(gateway, rest, "GET", "/open/a").send().status, 200);
        assert_eq!(
            ask(gateway, "?refused", "GET", "/open/a").send().status,
            503,
            "it must not look as if it had passed"
        );
    }
}

#[test]
fn decisions_are_counted_as_requests_are_and_forget_as_they_do() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, OWN);
    let ann = kratos.sign_in("ann@example.com");
    assert_eq!(ask(&gateway, "", "GET", "/private/a").cookie(&ann.cookie).send().status, 200);
    assert_eq!(ask(&gateway, "", "GET", "/private/a").send().status, 401);
    let counted =
        |outcome: &str| gateway.metric(&format!(r#"portcullis_requests_total{{outcome="{outcome}",rule="private""#));
    assert_eq!((counted("permit"), counted("refuse")), (1.0, 1.0));
    assert_eq!(gateway.metric(r#"portcullis_refusals_total{reason="session_inactive"}"#), 1.0);
    let order = format!(r#"{{"identity":"{}"}}"#, ann.identity_id);
    kratos.switches().end_session(ann.session_id);
    let json = [("content-type", "application/json")];
    assert_eq!(gateway.ops_with("POST", "/sessions/forget", &json, &order).status, 204);
    assert_eq!(ask(&gateway, "", "GET", "/private/a").cookie(&ann.cookie).send().status, 401);
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// What Envoy gets to hear: the headers, the message, and the trailers if there are any.
struct Heard {
    headers: HeaderMap,
    message: Bytes,
    trailers: Option<HeaderMap>,
}

impl Heard {
    fn grpc_status(&self) -> &str {
        let told = self.trailers.as_ref().unwrap_or(&self.headers);
        told["grpc-status"].to_str().unwrap()
    }

    /// Whether the message holds this header, to be set once whatever was there.
    fn sets(&self, name: &str, value: &str) -> bool {
        let mut option = field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat());
        option.extend([0x18, 2]);
        self.holds(&option)
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.message.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// A field of bytes, as protobuf writes it.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![tag << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend_from_slice(bytes);
    field
}

/// Envoy's question about a request to `shop.example`.
fn question(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut http = [field(2, method.as_bytes()), field(4, path.as_bytes())].concat();
    for (name, value) in headers {
        http.extend(field(3, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()));
    }
    http.extend([field(5, b"shop.example"), field(6, b"https"), field(10, b"HTTP/1.1")].concat());
    field(1, &field(4, &field(2, &http)))
}

/// Asks over HTTP/2 with prior knowledge, as Envoy does.
fn envoy_asks(gateway: &Gateway, path: &str, message: &[u8]) -> Heard {
    let address = gateway.running().grpc_address().expect("a listener for Envoy");
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        let driven = tokio::spawn(connection);
        let request = Request::post(format!("http://decisions{path}")).header("content-type", "application/grpc");
        let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(frame.freeze(), true).unwrap();
        let (head, mut body) = answer.await.unwrap().into_parts();
        assert_eq!((head.status.as_u16(), &head.headers["content-type"]), (200, &"application/grpc".parse().unwrap()));
        let mut message = BytesMut::new();
        while let Some(data) = body.data().await {
            message.extend_from_slice(&data.unwrap());
        }
        let trailers = body.trailers().await.unwrap();
        driven.abort();
        Heard { headers: head.headers, message: message.freeze(), trailers }
    })
}

#[test]
fn envoy_is_told_what_to_set_and_what_to_remove() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, "{ grpc: '127.0.0.1:0' }");
    let ann = kratos.sign_in("ann@example.com");
    let cookie = format!("a=b; {}", ann.cookie);
    let headers = [("cookie", &*cookie), ("x_email", "root"), ("x-email", "root"), (":path", "/open/a")];
    let heard = envoy_asks(&gateway, CHECK, &question("GET", "/private/a?b=c", &headers));
    assert_eq!(heard.grpc_status(), "0");
    assert!(heard.sets(IDENTITY, &ann.identity_id.to_string()), "{:?}", heard.message);
    assert!(heard.sets("x-email", "ann@example.com") && heard.sets("cookie", "a=b"), "{:?}", heard.message);
    assert!(heard.holds(&field(5, b"x_email")) && !heard.holds(&field(5, b"x-email")), "{:?}", heard.message);
    let heard = envoy_asks(&gateway, CHECK, &question("GET", "/open/a", &headers));
    for name in ["x_email", "x-email", IDENTITY] {
        assert!(heard.holds(&field(5, name.as_bytes())), "{name}: {:?}", heard.message);
    }
}

#[test]
fn envoy_is_told_the_whole_refusal() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, "{ grpc: '127.0.0.1:0' }");
    let heard = envoy_asks(&gateway, CHECK, &question("GET", "/private/a", &[]));
    assert_eq!(heard.grpc_status(), "0", "a refusal is an answer too");
    // Status 401, as a varint of two bytes.
    assert!(heard.holds(&field(1, &[0x08, 0x91, 0x03])), "{:?}", heard.message);
    assert!(heard.holds(b"session_inactive") && heard.sets("content-type", "application/json"), "{:?}", heard.message);
    let browser = [("sec-fetch-mode", "navigate")];
    let heard = envoy_asks(&gateway, CHECK, &question("GET", "/private/a", &browser));
    let login = "/self-service/login/browser?return_to=https%3A%2F%2Fshop.example%2Fprivate%2Fa";
    assert!(heard.sets("location", login), "{:?}", heard.message);
    let odd = envoy_asks(&gateway, CHECK, &question("GET", "/open/../private", &[]));
    assert!(odd.holds(b"ambiguous_request"), "{:?}", odd.message);
}

#[test]
fn what_is_no_question_is_answered_with_a_status() {
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, "{ grpc: '127.0.0.1:0' }");
    assert_eq!(envoy_asks(&gateway, "/grpc.health.v1.Health/Check", b"").grpc_status(), "12");
    assert_eq!(envoy_asks(&gateway, CHECK, b"\xff\xff").grpc_status(), "3");
    assert_eq!(envoy_asks(&gateway, CHECK, &vec![0; 2 * 1024 * 1024]).grpc_status(), "8");
    let empty = envoy_asks(&gateway, CHECK, b"");
    assert!(empty.holds(b"ambiguous_request"), "{:?}", empty.message);
}
