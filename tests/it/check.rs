//! `check --kratos`: what people lose days on, told in a sentence.

use std::process::Command;

use crate::harness::Kratos;
use url::Url;

/// Whether it fits, and what is said where it does not.
fn check(kratos: &str, rest: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portcullis.yaml");
    std::fs::write(&file, format!("{rest}\nkratos: {kratos}\n")).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["check", "--kratos"]).arg(&file).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

const PUBLIC: &str = "listen: { address: 127.0.0.1:4455, public_url: 'http://app.example.com' }";

#[test]
fn a_kratos_that_fits_is_said_to_fit() {
    let kratos = Kratos::with(|options| {
        options.base_url = Some(Url::parse("http://app.example.com/").unwrap());
        options.allowed_return_urls = vec![Url::parse("http://app.example.com/").unwrap()];
    });
    let (fits, said) = check(&kratos.url(), &format!("{PUBLIC}\nui: /ui"));
    assert!(fits, "{said}");
}

#[test]
fn every_misfit_is_told_with_its_cure() {
    let kratos = Kratos::with(|options| {
        options.base_url = Some(Url::parse("http://elsewhere.example.com/").unwrap());
        options.allowed_return_urls = vec![Url::parse("http://elsewhere.example.com/").unwrap()];
    });
    let (fits, said) = check(&kratos.url(), &format!("{PUBLIC}\nui: /pages"));
    assert!(!fits);
    for cure in ["`serve.public.base_url` to http://app.example.com/", "allowed_return_urls", "ui_url"] {
        assert!(said.contains(cure), "{cure}: {said}");
    }
    let mounted = format!("{{ url: '{}', path_prefix: /kratos }}", kratos.url());
    assert!(check(&mounted, PUBLIC).1.contains("http://app.example.com/kratos/"));
    kratos.switches().ready(false);
    assert!(check(&kratos.url(), PUBLIC).1.contains("not ready"));
}

#[test]
fn a_kratos_that_is_not_there_is_told_as_such() {
    let (fits, said) = check("http://127.0.0.1:1", PUBLIC);
    assert!(!fits && said.contains("cannot be reached"), "{said}");
}
