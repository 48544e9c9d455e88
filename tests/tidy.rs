//! Holds the sources to the architecture: who may import whom, what the core may not know, and how a file begins.

use std::fs;
use std::path::Path;

/// Who may import whom, from the core outwards: nobody imports what stands below. `module::part` allows that part alone.
const MODULES: [(&str, &[&str]); 15] = [
    ("decision", &[]),
    ("telemetry", &["decision"]),
    ("hashing", &[]),
    ("services", &["decision", "hashing", "telemetry"]),
    ("sessions", &["decision", "hashing", "services", "telemetry"]),
    ("signing", &["decision", "hashing"]),
    ("tokens", &["decision", "hashing", "services", "signing::keys", "telemetry"]),
    ("gate", &["decision", "services", "sessions", "signing", "tokens"]),
    ("ui", &[]),
    ("proxy", &["decision", "gate", "sessions", "signing", "telemetry", "ui"]),
    ("ops", &["decision", "gate", "proxy", "services", "sessions", "signing", "telemetry", "tokens"]),
    (
        "config",
        &[
            "decision",
            "signing",
            "tokens::jwks",
            "ops::settings",
            "proxy::settings",
            "sessions::settings",
            "ui::settings",
        ],
    ),
    // It stands in for a server on another machine, so it shares nothing with whoever asks it.
    ("dev", &[]),
    (
        "server",
        &["config", "decision", "gate", "ops", "proxy", "services", "sessions", "signing", "telemetry", "tokens", "ui"],
    ),
    ("cli", &["config", "decision", "dev", "gate", "ops", "proxy", "server", "sessions", "signing", "telemetry", "ui"]),
];

/// What would make a decision depend on anything but its arguments, or on how they were written. Points in time are
/// arguments, so only asking for one is impure.
const IMPURE: [&str; 9] =
    ["async", "await", "Mutex", "RwLock", "parking_lot", "pingora", "serde", "serde_json", "tokio"];

/// How long a file may be, in lines without its tests: beyond that it holds two ideas.
const LONGEST: usize = 450;

/// What says that something is not done. In halves, so that this file holds none of it.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("to", "do!("),
    concat!("unimplemented", "!("),
    concat!("#[ig", "nore"),
];

/// A file, and its path below the root of the repository.
struct Source {
    path: String,
    text: String,
}

#[test]
fn nobody_imports_upwards() {
    complain(sources(&["src"]).iter().flat_map(imports));
}

#[test]
fn the_core_is_pure() {
    complain(sources(&["src"]).iter().flat_map(impurities));
}

#[test]
fn every_file_says_what_it_is_for_and_holds_one_idea() {
    complain(sources(&["src", "tests", "benches", "fuzz/targets"]).iter().flat_map(shape));
}

#[test]
fn nothing_is_left_unfinished() {
    complain(sources(&["src", "tests", "benches", "fuzz/targets"]).iter().flat_map(unfinished));
}

#[test]
fn the_table_lists_every_module_and_only_arrows_that_point_up_the_list() {
    let library = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs is there");
    for module in blank(&library).lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';')) {
        assert!(
            MODULES.iter().any(|(known, _)| *known == module),
            "tests/tidy.rs does not say whom {module} may import"
        );
    }
    for (place, (module, targets)) in MODULES.iter().enumerate() {
        for target in *targets {
            let target = target.split("::").next().unwrap_or_default();
            let above = MODULES[..place].iter().any(|(known, _)| *known == target);
            assert!(above, "{module} may import {target}, which does not stand above it");
        }
    }
}

// The checks. Each returns its complaints, so that all of them are told at once.

fn complain(complaints: impl Iterator<Item = String>) {
    let complaints = complaints.collect::<Vec<_>>();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Imports that the table does not allow, wherever they are written: in a `use` or in the middle of a line.
fn imports(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let Some((_, allowed)) = MODULES.iter().find(|(known, _)| *known == module) else {
        return vec![format!("{}: {module} is no module that tests/tidy.rs knows", source.path)];
    };
    let allows = |target: &str| {
        let top = target.split("::").next().unwrap_or_default();
        top == module || allowed.iter().any(|known| *known == top || *known == target)
    };
    let code = blank(&source.text);
    let mut complaints = Vec::new();
    // Modules of which parts are allowed, imported whole: what is named of them is judged where it is named.
    let mut whole = Vec::new();
    for (at, path) in paths(&code) {
        let complaint = match path.as_slice() {
            ["crate"] => "import one thing a line, by its whole path".to_owned(),
            ["crate", top] if code[at..].starts_with(&format!("crate::{top};")) && parts(allowed, top) => {
                whole.push(*top);
                continue;
            }
            ["crate", target @ ..] => {
                let target = target[..target.len().min(2)].join("::");
                if allows(&target) {
                    continue;
                }
                format!("{module} may not import {target}")
            }
            [first, part, ..] if whole.contains(first) && !allows(&format!("{first}::{part}")) => {
                format!("{module} may not import {first}::{part}")
            }
            [..] => {
                let climbs = path.iter().take_while(|name| **name == "super").count();
                if climbs == 0 || climbs < source.depth() + inline_modules(&code[..at]) {
                    continue;
                }
                format!("`super` leaves {module}; say `crate::` instead")
            }
        };
        complaints.push(format!("{}:{}: {complaint}", source.path, line(&code, at)));
    }
    complaints
}

fn parts(allowed: &[&str], top: &str) -> bool {
    allowed.iter().any(|known| known.strip_prefix(top).is_some_and(|rest| rest.starts_with("::")))
}

fn impurities(source: &Source) -> Vec<String> {
    if source.module() != Some("decision") || source.is_test() {
        return Vec::new();
    }
    let code = blank(source.without_tests());
    let mut complaints = Vec::new();
    for (at, path) in paths(&code) {
        let line = line(&code, at);
        let known = path.iter().filter(|name| IMPURE.contains(name));
        complaints.extend(known.map(|name| format!("{}:{line}: the core knows no `{name}`", source.path)));
        if path.len() > 1 && path.ends_with(&["now"]) {
            complaints.push(format!("{}:{line}: the core asks no clock", source.path));
        }
    }
    complaints
}

fn shape(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let first = source.text.lines().next().unwrap_or_default();
    if first.strip_prefix("//! ").is_none_or(|sentence| sentence.len() <= 10) {
        complaints.push(format!("{}:1: begin with `//! ` and what the file is for", source.path));
    }
    let lines = source.without_tests().lines().count();
    if lines > LONGEST && source.path.starts_with("src/") && !source.is_test() {
        complaints.push(format!("{}: {lines} lines, {LONGEST} at most", source.path));
    }
    complaints
}

fn unfinished(source: &Source) -> Vec<String> {
    let lines = source.text.lines().enumerate();
    let marks =
        lines.flat_map(|(at, line)| UNFINISHED.iter().filter(|mark| line.contains(**mark)).map(move |mark| (at, mark)));
    marks.map(|(at, mark)| format!("{}:{}: `{mark}`", source.path, at + 1)).collect()
}

// How sources are read: well enough for what `cargo fmt` leaves, not more.

impl Source {
    /// The module of ours that the file belongs to; none for `lib.rs`, `main.rs` and what is outside of `src`.
    fn module(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let module = inner.split('/').next()?;
        (module != "lib" && module != "main").then_some(module)
    }

    /// How many modules deep the file is: 1 for `src/gate.rs`.
    fn depth(&self) -> usize {
        self.path.matches('/').count()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/")
    }

    /// The text before the tests at its end.
    fn without_tests(&self) -> &str {
        self.text.find("\n#[cfg(test)]\nmod tests {").map_or(&*self.text, |at| &self.text[..at])
    }
}

/// Every path of names in `code`, such as `crate::proxy::settings`, and where it begins.
fn paths(code: &str) -> Vec<(usize, Vec<&str>)> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut paths: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut end = usize::MAX;
    let mut rest = 0;
    while let Some(begin) = code[rest..].find(is_name).map(|at| rest + at) {
        let length = code[begin..].find(|letter| !is_name(letter)).unwrap_or(code.len() - begin);
        let name = &code[begin..begin + length];
        match paths.last_mut() {
            Some((_, path)) if code.get(end..begin) == Some("::") => path.push(name),
            Some(_) | None => paths.push((begin, vec![name])),
        }
        end = begin + length;
        rest = end;
    }
    // `crate` alone stands before a group, or in `pub(crate)`.
    paths.retain(|(at, path)| path[..] != ["crate"] || code[*at..].starts_with("crate::"));
    paths
}

/// How many `mod … {` were opened in `code`.
fn inline_modules(code: &str) -> usize {
    code.lines()
        .filter(|line| line.trim_start().trim_start_matches("pub ").starts_with("mod ") && line.ends_with('{'))
        .count()
}

fn line(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// `text` with blanks in place of comments and of what literals hold; lines stay where they are.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => quoted(rest),
            'r' if !code.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') => raw(rest),
            // `'a'` and `'\n'`, but not the lifetime `'a`.
            '\'' if rest[1..].starts_with('\\') => rest[3..].find('\'').map_or(1, |at| at + 4),
            '\'' => rest.char_indices().nth(2).filter(|(_, third)| *third == '\'').map_or(0, |(at, _)| at + 1),
            _ => 0,
        };
        if length == 0 {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    code
}

/// The length of the literal that `rest` begins with.
fn quoted(rest: &str) -> usize {
    let mut escaped = true;
    let end = rest.char_indices().find(|(_, letter)| {
        let ends = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

/// The length of the raw literal that `rest` begins with; 0 where it begins with none.
fn raw(rest: &str) -> usize {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let (begin, end) = (hashes + 2, format!("\"{}", "#".repeat(hashes)));
    rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source below `folders`.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = folders.iter().map(|folder| root().join(folder)).filter(|path| path.is_dir()).collect::<Vec<_>>();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be listed") {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                sources.push(Source {
                    path: path.strip_prefix(root()).expect("it was found below").display().to_string(),
                    text,
                });
            }
        }
    }
    assert!(!sources.is_empty(), "no sources found");
    sources
}

mod checker {
    //! The checks themselves, on made-up sources: a check that never complains proves nothing.

    use super::*;

    #[track_caller]
    fn check(check: fn(&Source) -> Vec<String>, path: &str, text: &str, expected: &[&str]) {
        let complaints = check(&Source { path: path.to_owned(), text: text.to_owned() });
        let told = complaints.len() == expected.len()
            && complaints.iter().zip(expected).all(|(complaint, expected)| complaint.contains(expected));
        assert!(told, "{path}: {text}\ntold: {complaints:?}\nexpected: {expected:?}");
    }

    #[test]
    fn a_wrong_arrow_is_told_and_a_right_one_is_not() {
        for (path, text, expected) in [
            ("src/proxy/phases.rs", "use crate::gate::judge;", &[][..]),
            ("src/decision/rule.rs", "use crate::decision::path::Path;", &[]),
            (
                "src/decision/rule.rs",
                "use crate::sessions::Sessions;",
                &["src/decision/rule.rs:1: decision may not import sessions"],
            ),
            (
                "src/decision.rs",
                "fn f() {\n    crate::telemetry::log();\n}",
                &[":2: decision may not import telemetry"],
            ),
            ("src/gate.rs", "pub use crate::proxy::Gateway;", &["gate may not import proxy"]),
            ("src/sessions.rs", "pub(crate) use crate::gate::judge;", &["sessions may not import gate"]),
            ("src/telemetry/log.rs", "use crate::{config, decision};", &["one thing a line"]),
            ("src/dev/world.rs", "use crate::decision::session::Session;", &["dev may not import decision"]),
            ("src/server.rs", "use crate::dev;", &["server may not import dev"]),
            ("src/cli/dev.rs", "use crate::dev;\nuse crate::cli::print;", &[]),
            ("src/helpers.rs", "", &["helpers is no module"]),
            ("src/main.rs", "fn main() { portcullis::cli::run() }", &[]),
            (
                "src/gate.rs",
                "// use crate::proxy::Gateway;\n/* crate::ui */\nconst A: &str = \"crate::ui::Pages\";",
                &[],
            ),
            (
                "src/gate.rs",
                "const A: char = '\"'; use crate::ui::Pages; const B: char = '\"';",
                &["gate may not import ui"],
            ),
            (
                "src/gate.rs",
                "const A: &str = r#\"say \"crate::ui\"\"#; fn f<'a>() { crate::dev::x() }",
                &["gate may not import dev"],
            ),
        ] {
            check(imports, path, text, expected);
        }
    }

    #[test]
    fn of_some_modules_a_part_may_be_imported_and_the_rest_may_not() {
        for (text, expected) in [
            ("use crate::proxy::settings::Settings;", &[][..]),
            ("use crate::proxy;\nfn f() -> proxy::settings::Settings { todo() }", &[]),
            ("use crate::proxy::Gateway;", &["config may not import proxy::Gateway"]),
            ("use crate::proxy::{settings, Gateway};", &["config may not import proxy"]),
            ("use crate::proxy as engine;", &["config may not import proxy"]),
            ("use crate::proxy;\nfn f(gateway: &proxy::Gateway) {}", &[":2: config may not import proxy::Gateway"]),
            ("use crate::ops;\nuse std::ops::Range;", &[]),
        ] {
            check(imports, "src/config/listen.rs", text, expected);
        }
    }

    #[test]
    fn nobody_climbs_out_of_a_module() {
        for (path, text, expected) in [
            ("src/dev/world.rs", "use super::answer::Answer;", &[][..]),
            ("src/dev/world.rs", "use super::super::decision::path::Path;", &["`super` leaves dev"]),
            ("src/gate.rs", "use super::proxy::Gateway;", &["`super` leaves gate"]),
            ("src/gate.rs", "mod tests {\n    use super::*;\n}", &[]),
            ("src/gate.rs", "mod tests {\n    use super::super::proxy;\n}", &[":2: `super` leaves gate"]),
        ] {
            check(imports, path, text, expected);
        }
    }

    #[test]
    fn impurity_of_the_core_is_told() {
        for (path, text, expected) in [
            ("src/decision/decide.rs", "pub async fn decide() {}", &["no `async`"][..]),
            ("src/decision/decide.rs", "let now = std::time::SystemTime::now();", &["asks no clock"]),
            ("src/decision/decide.rs", "fn decide(now: SystemTime) {}", &[]),
            ("src/decision/decide.rs", "use parking_lot::Mutex;", &["`parking_lot`", "`Mutex`"]),
            ("src/decision/decide.rs", "#[derive(serde::Serialize)]", &["`serde`"]),
            ("src/decision/decide.rs", "// An async tokio Mutex.\nconst A: &str = \"async\";", &[]),
            ("src/decision/decide/tests.rs", "use serde_json::json;", &[]),
            ("src/sessions.rs", "pub async fn resolve() {}", &[]),
        ] {
            check(impurities, path, text, expected);
        }
    }

    #[test]
    fn files_without_a_sentence_or_an_end_are_told() {
        let long = format!("//! A sentence that is long.\n{}", "\n".repeat(LONGEST));
        let tested = format!("//! A sentence that is long.\n\n#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(LONGEST));
        check(shape, "src/gate.rs", "//! One sentence on it.\n", &[]);
        check(shape, "src/gate.rs", "use std::fs;\n", &["begin with"]);
        check(shape, "src/gate.rs", "//!\n", &["begin with"]);
        check(shape, "src/gate.rs", &long, &["at most"]);
        check(shape, "src/gate.rs", &tested, &[]);
        check(shape, "src/gate/tests.rs", &long, &[]);
    }

    #[test]
    fn what_is_not_done_is_told() {
        for mark in UNFINISHED {
            check(unfinished, "src/gate.rs", &format!("//! A gate.\n    {mark} later)"), &[":2:"]);
        }
        check(unfinished, "src/gate.rs", "//! A gate that is done.", &[]);
    }
}
