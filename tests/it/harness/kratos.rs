//! The embedded identity server as the Kratos of a test, with its switches.

use std::sync::LazyLock;

use portcullis::dev::{Hashing, Options, Server, SignedIn, Switches};
use tokio::runtime::Runtime;
use url::Url;

/// What the identity servers of all tests run on.
pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

pub struct Kratos {
    server: Server,
}

impl Kratos {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// A Kratos whose options are changed before it starts.
    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            hashing: Hashing::Cheap,
            allowed_return_urls: vec![Url::parse("http://127.0.0.1/").unwrap()],
            ..Options::default()
        };
        change(&mut options);
        Self { server: RUNTIME.block_on(Server::start(options)).unwrap() }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn switches(&self) -> &Switches {
        self.server.switches()
    }

    /// Signs somebody in, as if they had done so before the test.
    pub fn sign_in(&self, email: &str) -> SignedIn {
        self.switches().sign_in(email)
    }

    pub fn whoami_count(&self) -> u64 {
        self.switches().whoami_count()
    }

    /// Waits until whoami has been asked `count` times in all.
    pub fn whoami_reached(&self, count: u64) {
        RUNTIME.block_on(async {
            let reached = self.switches().whoami_reached(count);
            tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("whoami is not asked");
        });
    }
}
