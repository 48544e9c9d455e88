//! Keys that are published: how they come and go, who waits for them, and what a token may not be.

use super::*;

const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn whoever_leaves_while_keys_are_fetched_strands_nobody() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let peer = Peer::publishing(&[&old]).await;
    let desk = believing(&peer, LONG);
    assert_eq!(desk.word(&old.sign(&claims(&json!({})))).await, "valid");
    peer.says(200, keys(&[&old, &new]));
    peer.hold(1);
    let leaving = tokio::spawn({
        let desk = Arc::clone(&desk);
        let token = old.sign_as(&json!({ "alg": "EdDSA", "kid": "made up" }), &claims(&json!({})));
        async move { desk.word(&token).await }
    });
    peer.reached(2).await;
    leaving.abort();
    assert!(leaving.await.is_err());
    peer.release();
    assert_eq!(desk.word(&new.sign(&claims(&json!({})))).await, "valid");
}

#[tokio::test]
async fn an_outage_is_not_waited_for_by_everyone() {
    let signer = Signer::new("one");
    let peer = Peer::publishing(&[&signer]).await;
    let desk = believing(&peer, Duration::from_millis(1));
    let good = signer.sign(&claims(&json!({})));
    assert_eq!(desk.word(&good).await, "valid");
    peer.says(503, "");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(desk.word(&good).await, "valid", "it waited, and was told of the outage");
    // The pause after a failure: from here on it is asked again, and says nothing at all.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    peer.hold(100);
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(desk.word(&good).await, "valid");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn keys_are_renewed_before_requests_have_to_wait() {
    let signer = Signer::new("one");
    let peer = Peer::publishing(&[&signer]).await;
    let desk = believing(&peer, Duration::from_secs(2));
    let token = signer.sign(&claims(&json!({})));
    assert_eq!(desk.word(&token).await, "valid");
    peer.hold(1);
    tokio::time::sleep(Duration::from_millis(1650)).await;
    assert_eq!(desk.word(&token).await, "valid", "while the issuer is silent");
    peer.reached(2).await;
}

#[tokio::test]
async fn a_key_that_is_gone_is_not_believed_past_its_time() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let peer = Peer::publishing(&[&old]).await;
    let desk = believing(&peer, Duration::from_millis(1));
    let token = old.sign(&claims(&json!({})));
    assert_eq!(desk.word(&token).await, "valid");
    peer.says(200, keys(&[&new]));
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(desk.word(&token).await, "refused");
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_or_was_made_for_something_else_is_refused() {
    let signer = Signer::new("one");
    let peer = Peer::publishing(&[&signer]).await;
    let desk = believing(&peer, LONG);
    let good = claims(&json!({})).to_string();
    let (plain, inner) = (r#"{"alg":"EdDSA","kid":"one"}"#, good.strip_suffix('}').unwrap());
    for (header, payload, expected) in [
        (plain, good.clone(), "valid"),
        (r#"{"alg":"EdDSA","kid":"one","typ":"at+JWT"}"#, good.clone(), "valid"),
        (r#"{"alg":"EdDSA","kid":"one","typ":"logout+jwt"}"#, good.clone(), "refused"),
        (r#"{"alg":"EdDSA","kid":"one","typ":"dpop+jwt"}"#, good.clone(), "refused"),
        (r#"{"alg":"EdDSA","kid":"one","typ":7}"#, good.clone(), "refused"),
        (r#"{"alg":"EdDSA","kid":"one","crit":null}"#, good.clone(), "refused"),
        (r#"{"alg":"EdDSA","kid":"two","kid":"one"}"#, good.clone(), "refused"),
        (plain, format!(r#"{inner},"sub":"root"}}"#), "refused"),
        (plain, format!(r#"{inner},"tier":"silver","tier":"gold"}}"#), "refused"),
        (plain, format!(r#"{inner},"org":{{"role":"user","role":"admin"}}}}"#), "refused"),
        (plain, format!("{inner},\"x\":{}1{}}}", "[".repeat(100), "]".repeat(100)), "refused"),
    ] {
        assert_eq!(desk.word(&signer.sign_text(header, &payload)).await, expected, "{header} {payload}");
    }
}
