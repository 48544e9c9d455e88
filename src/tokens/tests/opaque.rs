//! Opaque tokens: which answer counts where several are on their way, and what is no answer.

use super::*;

fn active() -> String {
    json!({ "active": true, "sub": "ann", "exp": now() + 600 }).to_string()
}

#[tokio::test]
async fn an_old_answer_brings_no_token_back() {
    let peer = Peer::start(200, json!({ "active": false }).to_string()).await;
    let desk = believer(&asked_at(&peer.url, |_| {}));
    peer.says_next(200, active());
    peer.hold(1);
    let early = tokio::spawn({
        let desk = Arc::clone(&desk);
        async move { desk.word("t").await }
    });
    peer.reached(1).await;
    assert_eq!(desk.fresh("t", Some(Duration::ZERO)).await, "refused");
    peer.release();
    assert_eq!(early.await.unwrap(), "valid", "it was told before");
    assert_eq!(desk.word("t").await, "refused");
}

#[tokio::test]
async fn an_answer_that_says_two_things_is_none() {
    for answer in [r#"{"active":false,"active":true}"#, r#"{"active":true,"sub":"ann","sub":"root"}"#] {
        let peer = Peer::start(200, answer).await;
        assert_eq!(believer(&asked_at(&peer.url, |_| {})).word("t").await, "unknown", "{answer}");
    }
}

#[tokio::test]
async fn answers_that_are_new_enough_are_shared() {
    let peer = Peer::start(200, active()).await;
    let desk = believer(&asked_at(&peer.url, |_| {}));
    peer.hold(1);
    let asking = (0..50).map(|_| {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move { desk.fresh("t", Some(Duration::from_secs(5))).await })
    });
    let asking = asking.collect::<Vec<_>>();
    peer.reached(1).await;
    peer.release();
    for one in asking {
        assert_eq!(one.await.unwrap(), "valid");
    }
    assert_eq!(peer.asked(), 1);
}
