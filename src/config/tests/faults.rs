//! Tables of configurations with one fault each: where it is told, of which key, and with which words.

use super::{compile_files, compile_text};

#[track_caller]
fn faulty(text: &str, place: &str, path: &str, message: &str) {
    let Err(faults) = compile_text(text) else { panic!("accepted: {text}") };
    let told = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(faults.iter().len(), 1, "{text}\n{told}");
    let fault = faults.iter().next().unwrap();
    assert_eq!(format!("{}:{} {}", fault.line, fault.column, fault.path), format!("{place} {path}"), "{text}\n{told}");
    assert!(told.contains(message), "{text}\n{told}");
}

/// A test for each table, of lines like `"yaml" => "line:column" "key" "piece of what is told";`.
macro_rules! faulty {
    ($($name:ident { $($text:literal => $place:literal $path:literal $message:literal;)+ })+) => {
        $(#[test] fn $name() { $(faulty($text, $place, $path, $message);)+ })+
    };
}

faulty! {
    what_is_no_yaml_is_told_with_its_place {
        "a: [" => "1:4" "" "not YAML";
        "rules: []\n\tx: 1" => "2:2" "" "not YAML";
        "listen: \"x" => "1:9" "" "not YAML";
        "x: *nobody" => "1:4" "" "not YAML";
        "---\nkratos: http://k\n---\nkratos: http://k" => "3:1" "" "a second document";
        "listen: !secret 127.0.0.1:1" => "1:17" "listen" "tag";
        "rules: &r [*r]" => "1:12" "" "alias";
        "? [a, b]\n: c" => "1:3" "" "a key is a single value";
        "<<: {}" => "1:1" "" "merge keys";
    }

    keys_are_known_and_given_once {
        "# kratos\n" => "1:1" "" "empty";
        "[kratos]" => "1:1" "" "this is a mapping, not a list";
        "kratos" => "1:1" "" "this is a mapping, not a single value";
        "listn: 127.0.0.1:1" => "1:1" "listn" "did you mean `listen`?";
        "rules:\n  - id: a\n    acess: public" => "3:5" "rules[0].acess" "did you mean `access`?";
        "rules: [{ id: a, match: { path: /a } }]" => "1:27" "rules[0].match.path" "did you mean `paths`?";
        "sessions: { unheard_of: 1 }" => "1:13" "sessions.unheard_of" "known here: `ttl`";
        "ops: { token: a, token: b }" => "1:18" "" "given twice";
        "sessions:\n  ttl:" => "2:3" "sessions.ttl" "`ttl` has no value";
        "rules: [{ id: a, require: ~ }]" => "1:18" "rules[0].require" "has no value";
        "rules: [{ id: a, headers: { X-A: } }]" => "1:29" "rules[0].headers.X-A" "has no value";
        "rules: [{ id: { a: b } }]" => "1:15" "rules[0].id" "a single value, not a mapping";
        "rules: [a]" => "1:9" "rules[0]" "this is a mapping";
    }

    changes_on_the_way {
        "rules: [{ id: a, remove_headers: [Host] }]" => "1:35" "rules[0].remove_headers[0]" "belongs to the connection";
        "rules: [{ id: a, remove_headers: x_a, headers: { X-A: b } }]" => "1:34" "rules[0].remove_headers" "the rule sets";
        "rules: [{ id: a, remove_headers: X_Forwarded_For }]" => "1:34" "rules[0].remove_headers" "by the gateway itself";
        "rules: [{ id: a, remove_headers: X-Kratos-Authenticated-Identity-Id }]\nkratos: http://k" => "1:15" "rules[0].id" "the identity header";
        "rules: [{ id: a, cookies: { ORY.kratos_session: c } }]\nkratos: http://k" => "1:29" "rules[0].cookies.ORY.kratos_session" "session cookie";
        "rules: [{ id: a, redirect: { append_path: true, to: 'https://n.example/x?y' } }]" => "1:30" "rules[0].redirect.append_path" "behind a query";
        "rules: [{ id: a, match: { paths: /x/** }, access: public, redirect: /x/y }]\nkratos: http://k" => "1:15" "rules[0].id" "browsers go in circles";
        "rules: [{ id: a, redirect: { to: 'https://${request.host}', append_path: true } }]\nkratos: http://k" => "1:15" "rules[0].id" "where it is already";
        "rules: [{ id: a, cookies: { 'a b': c } }]" => "1:29" "rules[0].cookies.a b" "no name of a cookie";
        "rules: [{ id: a, cookies: { ory_kratos_session: c } }]\nkratos: http://k" => "1:29" "rules[0].cookies.ory_kratos_session" "session cookie";
        "rules: [{ id: a, cookies: { a: 'b;c' } }]" => "1:32" "rules[0].cookies.a" "no cookie's value may have `;`";
        "authenticators: { a: { jwt: { jwks: http://k, audience: ['${EMPTY}'] } } }" => "1:58" "authenticators.a.jwt.audience[0]" "is empty";
        "rules: [{ id: a, cookies: { a: '${x}' } }]" => "1:32" "rules[0].cookies.a" "unknown name";
        "rules: [{ id: a, response_headers: { Set-Cookie: c } }]" => "1:38" "rules[0].response_headers.Set-Cookie" "several times";
        "rules: [{ id: a, response_headers: { Connection: c } }]" => "1:38" "rules[0].response_headers.Connection" "belongs to the connection";
        "rules: [{ id: a, cors: https://a.b, response_headers: { Access-Control-Allow-Origin: c } }]" => "1:57" "rules[0].response_headers.Access-Control-Allow-Origin" "what `cors` says";
        "rules: [{ id: a, remove_response_headers: Upgrade }]" => "1:43" "rules[0].remove_response_headers" "belongs to the connection";
        "rules: [{ id: a, match: { paths: [/api/**, /apis/x] }, rewrite: { strip_prefix: /api } }]" => "1:81" "rules[0].rewrite.strip_prefix" "no path of `/apis/x` begins with `/api`";
        "rules: [{ id: a, match: { paths: /api }, rewrite: { strip_prefix: /api/v1 } }]" => "1:67" "rules[0].rewrite.strip_prefix" "no path of `/api`";
        "rules: [{ id: a, match: { allow: empty_segment }, rewrite: { strip_prefix: /api } }]" => "1:76" "rules[0].rewrite.strip_prefix" "could begin with `//`";
        "rules: [{ id: a, rewrite: { add_prefix: api } }]" => "1:41" "rules[0].rewrite.add_prefix" "did you mean `/api`?";
        "rules: [{ id: a, rewrite: { host: a/b } }]" => "1:35" "rules[0].rewrite.host" "is no host";
        "rules: [{ id: a, redirect: '${request.path}' }]" => "1:28" "rules[0].redirect" "which server it leads to";
        "rules: [{ id: a, redirect: { to: //evil } }]" => "1:34" "rules[0].redirect.to" "browsers take for another server";
        "rules: [{ id: a, redirect: { to: /x, status: 200 } }]" => "1:46" "rules[0].redirect.status" "is none of 301";
        "rules: [{ id: a, redirect: https://c, upstream: http://b }]" => "1:18" "rules[0].redirect" "either a `redirect` or an `upstream`";
        "rules: [{ id: a, on_refusal: [json, auto] }]" => "1:31" "rules[0].on_refusal[0]" "always fits";
        "rules: [{ id: a, on_refusal: { status: 200, then: json } }]" => "1:40" "rules[0].on_refusal.status" "no status of a refusal";
        "rules: [{ id: a, on_refusal: { error: forbiden, then: json } }]" => "1:39" "rules[0].on_refusal.error" "did you mean `forbidden`?";
        "rules: [{ id: a, on_refusal: { accept: html, then: json } }]" => "1:40" "rules[0].on_refusal.accept" "no media type";
        "rules: [{ id: a, on_refusal: { from: 10.0.0.1/8, then: json } }]" => "1:38" "rules[0].on_refusal.from" "did you mean `10.0.0.0/8`?";
        "rules: [{ id: a, on_refusal: { status: 401 } }]" => "1:30" "rules[0].on_refusal" "`then` is missing";
        "rules: [{ id: a, on_refusal: { then: json, to: /x } }]" => "1:44" "rules[0].on_refusal.to" "does not go with this `then`";
        "rules: [{ id: a, on_refusal: { then: redirect, code: 302 } }]" => "1:48" "rules[0].on_refusal.code" "goes with `to`";
        "rules: [{ id: a, on_refusal: { then: redirect, to: //evil } }]" => "1:52" "rules[0].on_refusal.to" "without a scheme";
        "rules: [{ id: a, on_refusal: { then: www_authenticate } }]" => "1:30" "rules[0].on_refusal" "`realm` is missing";
        "rules: [{ id: a, match: { paths: /app/** }, on_refusal: { then: redirect, to: /app/sorry } }]" => "1:15" "rules[0].id" "sent in circles";
    }

    issuers_of_tokens {
        "authenticators: { session: { introspection: { url: http://h } } }" => "1:19" "authenticators.session" "is there anyway";
        "authenticators: { a: { jwt: {} } }" => "1:29" "authenticators.a.jwt" "`jwks` is missing";
        "authenticators: { a: { jwt: { jwks: gone.json } } }" => "1:37" "authenticators.a.jwt.jwks" "cannot be read";
        "authenticators: { a: { jwt: { jwks: config.yaml } } }" => "1:37" "authenticators.a.jwt.jwks" "is no JWKS";
        "authenticators: { a: { jwt: { jwks: http://k }, from: { header: X_Session_Token } } }" => "1:65" "authenticators.a.from.header" "carries credentials";
        "authenticators: { a: { jwt: { jwks: 'ftp://k' } } }" => "1:37" "authenticators.a.jwt.jwks" "neither an http nor an https URL";
        "authenticators: { a: { jwt: { jwks: http://k, algorithms: [RS256, none] } } }" => "1:67" "authenticators.a.jwt.algorithms[1]" "no signature at all";
        "authenticators: { a: { jwt: { jwks: http://k, algorithms: HS256 } } }" => "1:59" "authenticators.a.jwt.algorithms" "could sign as well";
        "authenticators: { a: { jwt: { jwks: http://k, leeway: 11m } } }" => "1:55" "authenticators.a.jwt.leeway" "more than 10m";
        "authenticators: { a: { jwt: { jwks: http://k, algorithms: ES257 } } }" => "1:59" "authenticators.a.jwt.algorithms" "is none of `EdDSA`";
        "authenticators: { a: { introspection: { url: http://h, authorization: x, basic: { username: a, password: b } } } }" => "1:74" "authenticators.a.introspection.basic" "already";
        "authenticators: { a: { introspection: { url: http://h }, from: { query: token } } }" => "1:66" "authenticators.a.from.query" "end up in logs";
        "authenticators: { a: { introspection: { url: http://h }, from: { cookie: ory_kratos_session } } }\nkratos: http://k" => "1:74" "authenticators.a.from.cookie" "session cookie";
        "authenticators: { a: { introspection: { url: http://h }, from: { header: Host } } }" => "1:74" "authenticators.a.from.header" "belongs to the connection";
        "rules: [{ id: a, authenticate: [sesion] }]" => "1:33" "rules[0].authenticate[0]" "there is no authenticator `sesion`";
        "rules: [{ id: a, authenticate: [] }]" => "1:32" "rules[0].authenticate" "lists nobody";
        "rules: [{ id: a, authenticate: [session, session] }]" => "1:42" "rules[0].authenticate[1]" "listed twice";
        "rules: [{ id: a, access: optional, authenticate: [anonymous, session] }]" => "1:51" "rules[0].authenticate[0]" "is the last one";
        "rules: [{ id: a, authenticate: [session, anonymous] }]" => "1:32" "rules[0].authenticate" "for rules with `access: optional`";
        "rules: [{ id: a, access: public, authenticate: session }]" => "1:34" "rules[0].authenticate" "nobody is asked who asks";
        "authenticators: { a: { introspection: { url: http://h }, from: { header: X-A } } }\nrules: [{ id: a, authenticate: a, headers: { x_a: b } }]" => "2:15" "rules[0].id" "where clients send tokens";
    }

    services_that_are_asked {
        "authorizers: { a: {} }" => "1:19" "authorizers.a" "exactly one of";
        "authorizers: { a: { keto: http://k, opa: http://o } }" => "1:19" "authorizers.a" "exactly one of";
        "authorizers: { a: { keto: ftp://k } }" => "1:27" "authorizers.a.keto" "neither an http nor an https URL";
        "authorizers: { a: { http: 'http://${subject}/x' } }" => "1:27" "authorizers.a.http" "before its path";
        "authorizers: { a: { http: 'http://h/${nobody}' } }" => "1:27" "authorizers.a.http" "unknown name `nobody`";
        "authorizers: { a: { http: { url: http://h, headers: { Host: x } } } }" => "1:55" "authorizers.a.http.headers.Host" "belongs to the connection";
        "authorizers: { a: { http: { url: http://h, headers: { Authorization: x } }, authorization: y } }" => "1:77" "authorizers.a.authorization" "sets `Authorization` already";
        "authorizers: { a: { opa: http://o, retries: 4 } }" => "1:45" "authorizers.a.retries" "more than 3";
        "authorizers: { a: { opa: http://o } }\nenrichers: { a: { url: http://e } }" => "2:14" "enrichers.a" "an authorizer is called `a` too, in line 1";
        "enrichers: { a: { method: GET } }" => "1:17" "enrichers.a" "`url` is missing";
        "authorizers: { policy: { opa: http://o } }\nrules: [{ id: a, authorize: polcy }]" => "2:29" "rules[0].authorize" "did you mean `policy`?";
        "enrichers: { told: { url: http://e } }\nrules: [{ id: a, enrich: tald }]" => "2:26" "rules[0].enrich" "did you mean `told`?";
        "enrichers: { told: { url: http://e } }\nrules: [{ id: a, access: public, enrich: told }]" => "2:34" "rules[0].enrich" "nobody is known";
        "rules: [{ id: a, headers: { X-A: '${context.a}' } }]" => "1:18" "rules[0].headers" "no `enrich` that would fill it";
        "authorizers: { k: { keto: http://k } }\nrules: [{ id: a, authorize: k }]" => "2:29" "rules[0].authorize" "which tuple to check";
        "authorizers: { k: { keto: http://k } }\nrules: [{ id: a, authorize: { k: { namespace: n, object: o, relation: r } } }]" => "2:34" "rules[0].authorize.k" "either a `subject` or a `subject_set`";
        "authorizers: { k: { keto: http://k } }\nrules: [{ id: a, authorize: { k: { tuples: [] } } }]" => "2:44" "rules[0].authorize.k.tuples" "1 to 10 tuples";
        "authorizers: { h: { http: http://h } }\nrules: [{ id: a, authorize: { h: { pick: [Cookie] } } }]" => "2:43" "rules[0].authorize.h.pick[0]" "carries credentials";
        "authorizers: { h: { http: http://h } }\nrules: [{ id: a, authorize: { h: { pick: X-A } }, headers: { X-A: b } }]" => "2:15" "rules[0].id" "sets `X-A` twice";
        "authorizers: { h: { http: http://h } }\nrules: [{ id: a, authorize: { h: { payload: { a: '${x}' } } } }]" => "2:53" "rules[0].authorize.h.payload.a" "unknown name `x`";
    }

    signed_tokens {
        "rules: [{ id: a, id_token: true }]" => "1:28" "rules[0].id_token" "nothing to sign it with";
        "id_token: { issuer: a }" => "1:11" "id_token" "`keys` is missing";
        "id_token: { issuer: a, keys: [] }" => "1:30" "id_token.keys" "no key is named";
        "id_token: { issuer: a, keys: gone.pem }" => "1:30" "id_token.keys" "cannot be read";
        "id_token: { issuer: a, keys: config.yaml }" => "1:30" "id_token.keys" "holds no private key";
                "rules: [{ id: keys }]" => "1:15" "rules[0].id" "the gateway's own";
    }

    listeners {
        "listen: :4455" => "1:9" "listen" "did you mean `0.0.0.0:4455`?";
        "listen: localhost:4455" => "1:9" "listen" "did you mean `127.0.0.1:4455`?";
        "listen: 4455" => "1:9" "listen" "did you mean `0.0.0.0:4455`?";
        "listen: { address: 127.0.0.1:99999 }" => "1:20" "listen.address" "is not an address";
        "listen: { h2c: yes }" => "1:16" "listen.h2c" "did you mean `true`?";
        "listen: { h2c: \"true\" }" => "1:16" "listen.h2c" "is a string";
        "listen: { h2c: 1 }" => "1:16" "listen.h2c" "neither `true` nor `false`";
        "listen: { trusted_proxies: [10.0.0.0/8, 10.0.0.300] }" => "1:41" "listen.trusted_proxies[1]" "neither an address nor a network";
        "listen: { trusted_proxies: 10.0.0.1/8 }" => "1:28" "listen.trusted_proxies" "did you mean `10.0.0.0/8`?";
        "listen: { public_url: app.example.com }" => "1:23" "listen.public_url" "did you mean `http://app.example.com`?";
        "listen: { public_url: \"https://app.example.com/x\" }" => "1:23" "listen.public_url" "did you mean `https://app.example.com`?";
        "listen: { idle_timeout: 0s }" => "1:25" "listen.idle_timeout" "must be more than zero";
        "listen: { idle_timeout: 75 }" => "1:25" "listen.idle_timeout" "did you mean `75s`?";
        "listen: { max_header_size: 64KB }" => "1:28" "listen.max_header_size" "did you mean `64KiB`?";
        "listen: { max_header_size: 10 }" => "1:28" "listen.max_header_size" "is less than 1024";
        "listen: { threads: 0 }" => "1:20" "listen.threads" "is less than 1";
        "listen: { threads: many }" => "1:20" "listen.threads" "not a whole number";
        "ops: { token: \"a b\" }" => "1:8" "ops.token" "visible ASCII";
    }

    kratos_and_sessions {
        "rules: []\n# no kratos" => "1:1" "" "`kratos` is missing";
        "kratos: kratos:4433" => "1:9" "kratos" "did you mean `http://kratos:4433`?";
        "kratos: ftp://kratos" => "1:9" "kratos" "neither an http nor an https URL";
        "kratos: http://kratos/public" => "1:9" "kratos" "has a path";
        "kratos: \"http://me:pass@kratos\"" => "1:9" "kratos" "has user information";
        "kratos: \"http://kratos:99999\"" => "1:9" "kratos" "is not a URL";
        "kratos: { serve: true }" => "1:9" "kratos" "`url` is missing";
        "kratos: { url: \"http://k\", hosts: [a, b/c] }" => "1:39" "kratos.hosts[1]" "has a path";
        "kratos: { url: \"http://k\", path_prefix: kratos }" => "1:41" "kratos.path_prefix" "did you mean `/kratos`?";
        "kratos: { url: \"http://k\", path_prefix: /kratos/ }" => "1:41" "kratos.path_prefix" "did you mean `/kratos`?";
        "kratos: { url: \"http://k\", path_prefix: \"/a/*\" }" => "1:41" "kratos.path_prefix" "not a plain path";
        "kratos: { url: \"http://k\", session_cookie: \"a b\" }" => "1:44" "kratos.session_cookie" "no name of a cookie";
        "kratos: { url: \"http://k\", credentials: [cookies] }" => "1:42" "kratos.credentials[0]" "did you mean `cookie`?";
        "kratos: { url: \"http://k\", credentials: [] }" => "1:41" "kratos.credentials" "nobody can have a session";
        "kratos: { url: \"http://k\", timeout: 2 }" => "1:37" "kratos.timeout" "did you mean `2s`?";
        "sessions: { ttl: 0s }" => "1:18" "sessions.ttl" "must be more than zero";
        "sessions: { ttl: 1d }" => "1:18" "sessions.ttl" "did you mean `24h`?";
        "sessions: { max_entries: 0 }" => "1:26" "sessions.max_entries" "is less than 1";
        "identity_header: X User" => "1:18" "identity_header" "is not a header name";
        "identity_header: Cookie" => "1:18" "identity_header" "carries credentials";
        "login: //evil.example" => "1:8" "login" "names a host without a scheme";
        "login: { url: welcome }" => "1:15" "login.url" "did you mean `/welcome`?";
        "login: { url: \"/a#b\" }" => "1:15" "login.url" "fragment";
        "ui: { theme: drak }" => "1:14" "ui.theme" "did you mean `dark`?";
        "ui: { path_prefix: \"\" }" => "1:20" "ui.path_prefix" "cannot own every path";
        "ui: { brand: \"\" }" => "1:14" "ui.brand" "1 to 64 characters";
        "ui: { path_prefix: /self-service/ui }" => "1:20" "ui.path_prefix" "among the paths of Kratos";
        "ui: /sessions" => "1:5" "ui" "among the paths of Kratos";
    }

    upstreams {
        "upstreams: { \"a b\": http://a }" => "1:14" "upstreams.a b" "is no name";
        "upstreams: { a: {} }" => "1:17" "upstreams.a" "`endpoints` is missing";
        "upstreams: { a: { endpoints: [] } }" => "1:30" "upstreams.a.endpoints" "at least one endpoint";
        "upstreams: { a: a:80 }" => "1:17" "upstreams.a" "did you mean `http://a:80`?";
        "upstreams: { a: grpc://a:80 }" => "1:17" "upstreams.a" "not an http, https or h2c URL";
        "upstreams: { a: http://a:80/base }" => "1:17" "upstreams.a" "has a path";
        "upstreams: { a: \"http://a:80?x=1\" }" => "1:17" "upstreams.a" "has a path or a query";
        "upstreams: { a: \"http://u@a:80\" }" => "1:17" "upstreams.a" "has user information";
        "upstreams: { a: \"http://a:0\" }" => "1:17" "upstreams.a" "port 0";
        "upstreams: { a: { endpoints: [\"http://a:80\", \"http://a\"] } }"
            => "1:46" "upstreams.a.endpoints[1]" "listed twice";
        "upstreams: { a: { endpoints: http://a, balance: random } }" => "1:49" "upstreams.a.balance" "is none of `round_robin`";
        "upstreams: { a: { endpoints: http://a, balance: round-robin } }"
            => "1:49" "upstreams.a.balance" "did you mean `round_robin`?";
        "upstreams: { a: { endpoints: http://a, health_check: healthz } }"
            => "1:54" "upstreams.a.health_check" "did you mean `/healthz`?";
        "upstreams: { a: { endpoints: http://a, health_check: { interval: 5s } } }"
            => "1:54" "upstreams.a.health_check" "`path` is missing";
        "upstreams: { a: { endpoints: https://a, ca: none.pem } }" => "1:45" "upstreams.a.ca" "cannot be read";
        "upstreams: { a: { endpoints: https://a, connect_timeout: 0s } }"
            => "1:58" "upstreams.a.connect_timeout" "more than zero";
        "upstreams: [http://a]" => "1:12" "upstreams" "this is a mapping";
    }

    rules_and_what_they_match {
        "rules: [{ id: a, match: { paths: [/a, /b, /a] } }]" => "1:43" "rules[0].match.paths[2]" "listed twice";
        "rules: [{ id: a, match: { paths: ['/x/{a}', '/x/*'] } }]" => "1:45" "rules[0].match.paths[1]" "listed twice";
        "rules: [{ id: a, match: { hosts: b/c } }, { id: b }, { id: c, match: { hosts: d } }]"
            => "1:34" "rules[0].match.hosts" "has a path";
        "rules: [{ access: public }]" => "1:9" "rules[0]" "`id` is missing";
        "rules: [{ id: a b }]" => "1:15" "rules[0].id" "is no id";
        "rules: [{ id: ui }]" => "1:15" "rules[0].id" "of the gateway's own";
        "rules:\n- { id: a, match: { hosts: a.b } }\n- { id: a, match: { hosts: c.d } }"
            => "3:9" "rules[1].id" "another rule is called `a`, in line 2";
        "rules: [{ id: a, access: sesion }]" => "1:26" "rules[0].access" "did you mean `session`?";
        "rules: [{ id: a, match: { hosts: [] } }]" => "1:34" "rules[0].match.hosts" "lists nothing";
        "rules: [{ id: a, match: { hosts: https://x.y } }]" => "1:34" "rules[0].match.hosts" "has a scheme";
        "rules: [{ id: a, match: { hosts: \"a.*.b\" } }]" => "1:34" "rules[0].match.hosts" "whole labels";
        "rules: [{ id: a, match: { schemes: wss } }]" => "1:36" "rules[0].match.schemes" "is none of `http`, `https`";
        "rules: [{ id: a, match: { methods: [GET, post] } }]" => "1:42" "rules[0].match.methods[1]" "case-sensitive";
        "rules: [{ id: a, match: { methods: TRACE } }]" => "1:36" "rules[0].match.methods" "refused whatever";
        "rules: [{ id: a, match: { paths: [/a, b] } }]" => "1:39" "rules[0].match.paths[1]" "does not begin with `/`";
        "rules: [{ id: a, match: { paths: \"/**/a\" } }]" => "1:34" "rules[0].match.paths" "can only come last";
        "rules: [{ id: a, match: { paths: /a/../b } }]" => "1:34" "rules[0].match.paths" "no request can have";
        "rules: [{ id: a, match: { paths: { regex: \"(\" } } }]" => "1:43" "rules[0].match.paths.regex" "cannot be used";
        "rules: [{ id: a, match: { allow: semicolon } }]" => "1:34" "rules[0].match.allow" "is none of `encoded_slash`";
        "rules: [{ id: a, match: { paths: /self-service/login } }]" => "1:34" "rules[0].match.paths" "gateway serves itself";
        "rules: [{ id: a, match: { paths: \"/sessions/{id}\" } }]" => "1:34" "rules[0].match.paths" "`/sessions/**`";
        "rules:\n- { id: a, match: { paths: \"/x/{a}\" }, access: public }\n- { id: b, match: { paths: [/y, \"/x/{b}\"] }, access: public }"
            => "3:33" "rules[1].match.paths[1]" "the rules `a` and `b` both own";
        "rules:\n- { id: a, match: { paths: \"/x/**\" }, access: public }\n- { id: b, match: { paths: { regex: \"^/x/y.*$\" } }, access: public }"
            => "3:28" "rules[1].match.paths" "never reached";
    }

    what_rules_demand_and_set {
        "rules: [{ id: a, access: public, require: { aal: aal2 } }]" => "1:45" "rules[0].require.aal" "for rules with `access: session`";
        "rules: [{ id: a, access: optional, require: { verified: true } }]"
            => "1:47" "rules[0].require.verified" "for rules with `access: session`";
        "rules: [{ id: a, match: { paths: /a }, require: { aal: aal3 } }]"
            => "1:56" "rules[0].require.aal" "is none of `aal1`, `aal2`";
        "rules: [{ id: a, match: { paths: /a }, require: { authenticated_within: 0s } }]"
            => "1:73" "rules[0].require.authenticated_within" "more than zero";
        "rules: [{ id: a, match: { paths: /a }, on_outage: anonymous }]"
            => "1:40" "rules[0].on_outage" "for rules with `access: optional`";
        "rules: [{ id: a, match: { paths: /a }, on_refusal: html }]" => "1:52" "rules[0].on_refusal" "is none of `auto`";
        "rules: [{ id: a, match: { paths: /a }, forward_credentials: 1 }]"
            => "1:61" "rules[0].forward_credentials" "neither";
        "rules: [{ id: a, match: { paths: /a }, require: { when: \"identity.id ==\" } }]"
            => "1:72" "rules[0].require.when" "it ends too early";
        "rules: [{ id: a, match: { paths: /a }, require: { when: user.id == \"x\" } }]"
            => "1:57" "rules[0].require.when" "unknown name `user`";
        "rules: [{ id: a, match: { paths: /a }, require: { when: identity.metadata_admin.x } }]"
            => "1:57" "rules[0].require.when" "whoami does not tell `metadata_admin`";
        "rules: [{ id: a, match: { paths: /a }, headers: { \"X A\": b } }]"
            => "1:51" "rules[0].headers.X A" "is not a header name";
        "rules: [{ id: a, match: { paths: /a }, headers: { X-A: \"${identity.id\" } }]"
            => "1:56" "rules[0].headers.X-A" "is not closed";
        "rules: [{ id: a, match: { paths: /a }, headers: { X-A: \"a ${nobody.id}\" } }]"
            => "1:61" "rules[0].headers.X-A" "unknown name `nobody`";
        "rules: [{ id: a, match: { paths: /a }, headers: { X-A: \"a\\nb\" } }]"
            => "1:56" "rules[0].headers.X-A" "control character";
        "rules: [{ id: a, match: { paths: /a }, headers: { Content_Length: 1 } }]"
            => "1:51" "rules[0].headers.Content_Length" "belongs to the connection";
        "rules: [{ id: a, match: { paths: /a }, headers: { Authorization: x } }]"
            => "1:51" "rules[0].headers.Authorization" "carries credentials";
        "rules: [{ id: a, match: { paths: /a }, headers: { X-Forwarded-Foo: x } }]"
            => "1:51" "rules[0].headers.X-Forwarded-Foo" "by the gateway itself";
        "rules: [{ id: a, match: { paths: /a }, headers: { X-Request-ID: x } }]"
            => "1:51" "rules[0].headers.X-Request-ID" "by the gateway itself";
        "rules: [{ id: a, match: { paths: /a }, headers: { X-A: x, x_a: y } }]"
            => "1:59" "rules[0].headers.x_a" "set twice";
        "rules: [{ id: a, match: { paths: /a }, headers: { X_Kratos-Authenticated-Identity-Id: x } }]"
            => "1:15" "rules[0].id" "identity header";
        "upstreams: { orders: http://a }\nrules: [{ id: a, match: { paths: /a }, upstream: order }, { id: b, match: { paths: /b }, upstream: orders }]"
            => "2:50" "rules[0].upstream" "did you mean `orders`?";
        "rules: [{ id: a, match: { paths: /a }, upstream: a:80 }]" => "1:50" "rules[0].upstream" "did you mean `http://a:80`?";
        "rules: [{ id: a, match: { paths: /a }, upstream: http://a/b }]"
            => "1:50" "rules[0].upstream" "has a path";
    }

    pages_of_other_origins {
        "rules: [{ id: a, cors: spa.example.com }]" => "1:24" "rules[0].cors" "did you mean `https://spa.example.com`?";
        "rules: [{ id: a, cors: \"https://spa.example.com/app\" }]" => "1:24" "rules[0].cors" "did you mean `https://spa.example.com`?";
        "rules: [{ id: a, cors: [https://a, ftp://b] }]" => "1:36" "rules[0].cors[1]" "neither `http` nor `https`";
        "rules: [{ id: a, cors: \"null\" }]" => "1:24" "rules[0].cors" "sandboxed page";
        "rules: [{ id: a, cors: \"https://spa.*.example.com\" }]" => "1:24" "rules[0].cors" "whole labels at the start";
        "rules: [{ id: a, cors: [] }]" => "1:24" "rules[0].cors" "no origin at all";
        "rules: [{ id: a, cors: { credentials: true } }]" => "1:24" "rules[0].cors" "`origins` is missing";
        "rules: [{ id: a, cors: { origins: \"*\", credentials: true } }]" => "1:26" "rules[0].cors.origins" "cannot go together with `credentials: true`";
        "rules: [{ id: a, cors: { origins: https://a, headers: \"*\", credentials: true } }]" => "1:46" "rules[0].cors.headers" "cannot go together";
        "rules: [{ id: a, cors: { origins: https://a, expose: [a b] } }]" => "1:55" "rules[0].cors.expose[0]" "is not a header name";
        "rules: [{ id: a, cors: { origins: https://a, methods: [] } }]" => "1:55" "rules[0].cors.methods" "lists nothing";
        "rules: [{ id: a, cors: { origins: https://a, max_age: 600 } }]" => "1:55" "rules[0].cors.max_age" "did you mean `600s`?";
        "rules: [{ id: a, cors: { origin: https://a, origins: https://a } }]" => "1:26" "rules[0].cors.origin" "did you mean `origins`?";
        "rules: [{ id: a, match: { methods: GET }, cors: { origins: https://a, methods: [HEAD, PUT] } }]" => "1:87" "rules[0].cors.methods[1]" "does not list `PUT`";
        "kratos: { url: \"http://k\", cors: { origins: \"*\", credentials: true } }" => "1:36" "kratos.cors.origins" "cannot go together";
    }

    a_login_behind_a_session {
        "rules: [{ id: a, match: { paths: /** } }]\nlogin: /welcome" => "2:8" "login" "rule `a` demands a session for the login";
        "rules: [{ id: a, match: { hosts: \"*.x.y\" } }]\nlogin: { url: \"https://a.x.y/welcome\" }"
            => "2:15" "login.url" "sent in circles";
        "rules: [{ id: a }]\nlogin: \"https://app.example.com/welcome?x=1\"\nlisten: { public_url: \"https://app.example.com\" }"
            => "2:8" "login" "sent in circles";
        "kratos: { url: \"http://k\", hosts: auth.x.y }\nrules: [{ id: a }]"
            => "1:1" "" "rule `a` demands a session for the login";
    }

    the_environment {
        "kratos: ${NOWHERE}" => "1:9" "kratos" "`NOWHERE` from the environment, where it is not set";
        "kratos: \"${KRATOS\"" => "1:9" "kratos" "no `}` closes";
        "sessions: { ttl: \"${SECRET}\" }" => "1:18" "sessions.ttl" "`${SECRET}` is not a duration";
        "rules: [{ id: \"${identity.id}\" }]" => "1:15" "rules[0].id" "holes with expressions";
    }

    files_of_rules {
        "rule_files: more.yaml" => "1:13" "rule_files" "cannot be read";
        "rule_files: { a: b }" => "1:13" "rule_files" "a single value";
        "rule_files: \"rules/[.yaml\"" => "1:13" "rule_files" "cannot be searched";
    }
}

#[test]
fn every_fault_of_all_files_is_told_at_once() {
    let faults = compile_files(&[
        ("etc/config.yaml", "kratos: kratos:4433\nlisten: here\nrule_files: [rules/*.yaml, rules/a.yaml]\n"),
        ("etc/rules/b.yaml", "- { id: a, acces: public, match: { paths: /b } }\n"),
        ("etc/rules/a.yaml", "- id: a\n  upstream: nowhere\n"),
        ("etc/rules/c.yaml", "no list"),
        ("etc/rules/d.yaml", "- ]"),
        ("etc/other/e.yaml", "not read"),
    ])
    .err()
    .unwrap();
    let places = faults.iter().map(|fault| {
        let file = fault.file.display();
        format!("{file}:{}:{} {}", fault.line, fault.column, fault.path)
    });
    let expected = [
        "etc/config.yaml:1:9 kratos",
        "etc/config.yaml:2:9 listen",
        "etc/config.yaml:3:28 rule_files[1]",
        "etc/rules/a.yaml:2:13 rules[0].upstream",
        "etc/rules/b.yaml:1:9 rules[0].id",
        "etc/rules/b.yaml:1:12 rules[0].acces",
        "etc/rules/c.yaml:1:1 rules",
        "etc/rules/d.yaml:1:3 ",
    ];
    assert_eq!(places.collect::<Vec<_>>(), expected);
}

#[test]
fn a_missing_file_is_a_fault_of_the_file() {
    let faults = crate::config::load(std::path::Path::new("/nowhere/config.yaml"), &Default::default()).err().unwrap();
    let told = faults.to_string();
    assert!(told.starts_with("/nowhere/config.yaml: the file cannot be read: "), "{told}");
}

#[test]
fn files_beside_the_configuration_must_be_what_they_are_said_to_be() {
    let config =
        "listen: { tls: { certificate: a.crt, key: missing.key } }\nkratos: { url: \"https://k\", ca: a.crt }\n";
    let faults = compile_files(&[("config.yaml", config), ("a.crt", "no certificate")]).err().unwrap();
    let told = faults.iter().map(|fault| format!("{} {}", fault.path, fault.message)).collect::<Vec<_>>();
    assert!(told[0].contains("listen.tls.certificate `a.crt` holds no PEM section `CERTIFICATE`"), "{told:?}");
    assert!(told[1].contains("listen.tls.key `missing.key` cannot be read"), "{told:?}");
    assert!(told[2].contains("kratos.ca `a.crt` holds no PEM section"), "{told:?}");
}

#[test]
fn no_fault_shows_a_secret() {
    for text in [
        "kratos: http://k\nops: { token: hunter2, adress: 127.0.0.1:1 }",
        "kratos: http://k\nops: { address: nowhere, token: hunter2 }",
        "kratos: http://k\nops: { token: \"hunter2 with blanks\" }",
        "kratos: http://k\nops:\n  token: hunter2: [",
        "kratos: http://k\nops:\n  token: |\n    hunter2 with blanks",
        "kratos: http://me:hunter2@k/",
        "kratos: ftp://me:hunter2@k/",
        "kratos: http://k\nops: { address: \"${SECRET}\" }",
        "kratos: http://k\nlisten: \"${SECRET}\"\nsessions: { max_entries: \"${SECRET}\" }",
    ] {
        let told = compile_text(text).err().unwrap().to_string();
        assert!(!told.contains("hunter2") && !told.contains("s3cr3t"), "{told}");
    }
}

/// A key to sign with, and a configuration that names it.
fn with_key(rule: &str) -> Vec<String> {
    let key = crate::signing::keys::generate(crate::signing::keys::KeyKind::Es256).unwrap();
    let text = format!(
        "kratos: http://k\nid_token: {{ issuer: https://g, keys: key.pem, publish: true }}\nrules:\n- {{ id: a, {rule} }}\n"
    );
    match compile_files(&[("config.yaml", &text), ("key.pem", &key)]) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| format!("{} {}", fault.path, fault.message)).collect(),
    }
}

#[test]
fn what_a_rule_may_have_signed() {
    for (rule, faults) in [
        ("id_token: true", &[][..]),
        (
            "id_token: { audience: [a, b], ttl: 1m, claims: { roles: [1, '${identity.traits.role}'], x: { y: null } } }",
            &[],
        ),
        ("id_token: { header: X-Token, claims: {} }", &[]),
        (
            "id_token: { claims: { sub: x, exp: 1, email: '${nobody}' } }",
            &[
                "rules[0].id_token.claims.sub `sub` is a claim of the gateway's own",
                "rules[0].id_token.claims.exp `exp` is a claim of the gateway's own",
                "rules[0].id_token.claims.email in `${nobody}`: unknown name `nobody`",
            ],
        ),
        ("id_token: { header: Cookie }", &["rules[0].id_token.header `Cookie` carries credentials"]),
        ("id_token: { header: X-A }, headers: { X_A: b }", &["rules[0].id rule `a` sets `X-A` twice"]),
        ("id_token: true, forward_credentials: true", &["rules[0].id_token with `forward_credentials`"]),
        ("match: { paths: /.well-known/jwks.json }", &["rules[0].match.paths `/.well-known/jwks.json` lies within"]),
    ] {
        let told = with_key(rule);
        let fits = told.len() == faults.len() && told.iter().zip(faults).all(|(told, fault)| told.starts_with(fault));
        assert!(fits, "{rule}\n{}", told.join("\n"));
    }
}
