//! Encrypted on every side: clients, services and Kratos.

use std::net::SocketAddr;

use crate::harness::{Authority, Gateway, Kratos, RUNTIME, Service};

fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

#[test]
fn kratos_and_services_are_reached_under_a_private_authority_and_under_no_other() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.pem"), folder.path().join("theirs.pem"));
    std::fs::write(&ours, &authority.pem).unwrap();
    std::fs::write(&theirs, &stranger.pem).unwrap();
    let kratos_door = authority.in_front_of(address_of(&kratos.url()));
    let service_door = authority.in_front_of(service.address());
    let ann = kratos.sign_in("ann@example.com");
    let start = |kratos_ca: &std::path::Path, service_ca: &std::path::Path| {
        Gateway::start(&format!(
            "kratos: {{ url: 'https://{kratos_door}', ca: '{}' }}
upstreams: {{ app: {{ endpoints: ['https://localhost:{}'], ca: '{}' }} }}
rules:
  - {{ id: open, match: {{ paths: [/open] }}, access: public, upstream: app }}
  - {{ id: mine, match: {{ paths: [/mine] }}, access: session, upstream: app }}\n",
            kratos_ca.display(),
            service_door.port(),
            service_ca.display()
        ))
    };
    let gateway = start(&ours, &ours);
    assert_eq!(gateway.get("/mine").token(&ann.token).send().status, 200);
    assert_eq!(gateway.get("/sessions/whoami").token(&ann.token).send().status, 200);
    let gateway = start(&theirs, &ours);
    assert_eq!(gateway.get("/mine").token(&ann.token).send().status, 503, "a stranger is not Kratos");
    assert_eq!(gateway.get("/sessions/whoami").token(&ann.token).send().status, 502);
    let gateway = start(&ours, &theirs);
    assert_eq!(gateway.get("/open").send().status, 502, "a stranger is not the service");
}

#[test]
fn clients_are_served_over_tls_with_either_http() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, &authority.certificate_pem).unwrap();
    std::fs::write(&key, &authority.key_pem).unwrap();
    let gateway = Gateway::start(&format!(
        "listen: {{ address: '127.0.0.1:0', tls: {{ certificate: '{}', key: '{}' }} }}
kratos: {}
rules: [{{ id: safe, match: {{ paths: [/safe], schemes: [https] }}, access: public, upstream: '{}' }}]\n",
        certificate.display(),
        key.display(),
        kratos.url(),
        service.url()
    ));
    let root = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let url = format!("https://127.0.0.1:{}/safe", gateway.address().port());
    for http1_only in [true, false] {
        let mut client = reqwest::Client::builder().tls_certs_only([root.clone()]).no_proxy();
        if http1_only {
            client = client.http1_only();
        }
        let reply = RUNTIME.block_on(client.build().unwrap().get(&url).send()).unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(service.last().all("x-forwarded-proto"), ["https"]);
    }
}
