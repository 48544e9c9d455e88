//! What the log says, and what it leaves out.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written of the lines that `events` log.
fn logged(filter: &str, format: LogFormat, events: impl FnOnce()) -> String {
    let page = Page::default();
    let copy = page.clone();
    let settings = LogSettings::new(Some(filter), format);
    let layer = layer(&settings, move || copy.clone(), false).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
    let bytes = page.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn crates_that_see_the_wire_are_never_heard_below_info() {
    let text = logged("trace,pingora_core=trace,pingora_proxy::proxy_h1=trace", LogFormat::Text, || {
        tracing::trace!(target: "pingora_proxy::proxy_h1", "hunter2");
        tracing::debug!(target: "pingora_core", "hunter2");
        tracing::debug!(target: "h2::codec", "hunter2");
        tracing::trace!(target: "hyper_util", "hunter2");
        tracing::info!(target: "pingora_core::server", "informed");
        tracing::warn!(target: "pingora", "warned");
        tracing::trace!(target: "portcullis::gate", "traced");
        tracing::trace!(target: "h2o", "unrelated");
    });
    assert!(!text.contains("hunter2"), "{text}");
    for heard in ["informed", "warned", "traced", "unrelated"] {
        assert!(text.contains(heard), "{heard}: {text}");
    }
}

/// The engine logs through the `log` crate, whose records take another way to the filter.
#[test]
fn the_engine_is_never_heard_below_info_through_log_either() {
    let _guard = subscribe(&LogSettings { filter: "off".to_owned(), format: LogFormat::Text }).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let text = logged("trace", LogFormat::Text, || {
        log::trace!(target: "pingora_proxy::proxy_h1", "hunter2");
        log::debug!(target: "pingora_core", "hunter2");
        log::info!(target: "pingora_core", "informed");
        log::trace!(target: "portcullis", "traced");
    });
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("informed") && text.contains("traced"), "{text}");
}

#[test]
fn the_filter_is_obeyed() {
    let events = || {
        tracing::info!(target: "access", status = 200, "request");
        tracing::debug!(target: "portcullis::gate", "detail");
        tracing::warn!(target: "portcullis::server", "trouble");
    };
    let lines = |filter| logged(filter, LogFormat::Text, events).lines().count();
    assert_eq!((lines("info"), lines("info,access=off"), lines("debug"), lines("off")), (2, 1, 3, 0));
}

#[test]
fn json_is_one_flat_object_a_line() {
    let text = logged(
        "info",
        LogFormat::Json,
        || tracing::info!(target: "access", rule = "orders\n", status = 200, "request"),
    );
    let line = serde_json::from_str::<serde_json::Value>(text.trim_end()).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!((&line["target"], &line["rule"], &line["status"]), (&"access".into(), &"orders\n".into(), &200.into()));
}

#[test]
fn what_is_no_filter_is_an_error_that_says_so() {
    let settings = LogSettings { filter: "info,portcullis=loud".to_owned(), format: LogFormat::Text };
    let error = subscribe(&settings).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("portcullis=loud"), "{error}");
}

#[test]
fn subscribing_twice_is_harmless() {
    let settings = LogSettings { filter: "off".to_owned(), format: LogFormat::Text };
    let (_one, _two) = (subscribe(&settings).unwrap(), subscribe(&settings).unwrap());
}
