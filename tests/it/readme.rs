//! The README keeps its word: its configurations compile, its files and commands are there.

use crate::deploy::{compiled, compiled_text, read};

#[test]
fn every_configuration_in_the_readme_compiles() {
    let readme = read("README.md");
    let whole = blocks(&readme, "yaml").filter(|(_, block)| block.lines().any(|line| line.starts_with("kratos:")));
    let mut count = 0;
    for (line, block) in whole {
        count += 1;
        let config = compiled_text(&format!("README.md:{line}.yaml"), &block);
        assert!(!config.policy.rules.is_empty(), "line {line} shows a gateway without rules");
    }
    assert!(count > 0, "the README shows no whole configuration");
}

#[test]
fn every_example_configuration_compiles() {
    for path in ["config/dev.yaml", "config/minimal.yaml", "config/reference.yaml"] {
        assert!(!compiled(path).policy.rules.is_empty(), "{path}");
    }
}

#[test]
fn every_link_in_the_readme_leads_to_a_file() {
    let readme = read("README.md");
    let targets = readme.match_indices("](").map(|(at, _)| readme[at + 2..].split(')').next().unwrap_or_default());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#')).collect::<Vec<_>>();
    assert!(!local.is_empty());
    for target in local {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
        assert!(path.exists(), "README.md links to {target}, which is not there");
    }
}

#[test]
fn every_make_target_in_the_readme_exists() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let shown = readme.match_indices("make ").map(|(at, _)| &readme[at..]).filter_map(|rest| {
        let word = rest["make ".len()..].split(|letter: char| !letter.is_ascii_lowercase()).next()?;
        rest["make ".len() + word.len()..].starts_with(['`', '\n', ' ']).then_some(word)
    });
    let targets = shown.filter(|word| ["dev", "test", "check", "lint", "deny", "bench", "release"].contains(word));
    let targets = targets.collect::<Vec<_>>();
    assert!(targets.contains(&"dev") && targets.contains(&"test"), "{targets:?}");
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "there is no `make {target}`");
    }
}

/// The blocks of this language, and the lines they begin in.
fn blocks<'r>(readme: &'r str, language: &'r str) -> impl Iterator<Item = (usize, String)> + 'r {
    let fence = format!("```{language}");
    let begins = readme.lines().enumerate().filter(move |(_, line)| *line == fence).map(|(at, _)| at + 1);
    begins.map(|at| {
        let block = readme.lines().skip(at).take_while(|line| *line != "```");
        (at + 1, block.map(|line| format!("{line}\n")).collect())
    })
}
