//! Files that change on a real disk.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::config::reload::{Watch, Watched, watch};
use crate::config::{Config, Faults, Options, load};

/// Longer than any machine takes; a failure is told by it, nothing waits for it otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

struct Fixture {
    folder: tempfile::TempDir,
    changes: mpsc::Receiver<Result<Config, Faults>>,
    watch: Watch,
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn config(id: &str) -> String {
    format!("kratos: http://k\nrules: [{{ id: {id}, match: {{ paths: /{id} }} }}]\nrule_files: rules/*.yaml\n")
}

/// Watches `config.yaml` of a folder that `prepare` fills.
fn fixture(prepare: impl FnOnce(&Path)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let path = folder.path().join("config.yaml");
    let options = Options { generation: 1, ..Options::default() };
    let current = load(&path, &options).unwrap_or_else(|faults| panic!("{faults}"));
    let watched = Watched { config: path, embedded_kratos: options.embedded_kratos, generation: 1 };
    let (sender, changes) = mpsc::channel();
    let watch = watch(watched, &current, move |change| sender.send(change).unwrap()).unwrap();
    Fixture { folder, changes, watch }
}

impl Fixture {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    #[track_caller]
    fn next(&self) -> Result<Config, Faults> {
        self.changes.recv_timeout(PATIENCE).expect("a change is noticed")
    }

    #[track_caller]
    fn next_ids(&self) -> (u64, Vec<String>) {
        let config = self.next().unwrap_or_else(|faults| panic!("{faults}"));
        (config.policy.generation, config.policy.rules.iter().map(|rule| rule.id.to_string()).collect())
    }
}

#[test]
fn a_changed_file_is_compiled_anew_under_the_next_generation() {
    let fixture = fixture(|folder| write(folder, "config.yaml", &config("a")));
    write(fixture.path(), "config.yaml", &config("b"));
    assert_eq!(fixture.next_ids(), (2, vec!["b".to_owned()]));
    // As editors do: a new file takes the old one's name.
    write(fixture.path(), "config.yaml~", &config("c"));
    std::fs::rename(fixture.path().join("config.yaml~"), fixture.path().join("config.yaml")).unwrap();
    assert_eq!(fixture.next_ids(), (3, vec!["c".to_owned()]));
}

#[test]
fn a_bad_file_is_told_and_uses_up_no_generation() {
    let fixture = fixture(|folder| write(folder, "config.yaml", &config("a")));
    write(fixture.path(), "config.yaml", "rules: 5");
    assert!(fixture.next().is_err());
    write(fixture.path(), "config.yaml", &config("b"));
    assert_eq!(fixture.next_ids(), (2, vec!["b".to_owned()]));
}

#[test]
fn a_file_that_was_missing_is_noticed_when_it_comes() {
    let fixture = fixture(|folder| write(folder, "config.yaml", &config("a")));
    write(fixture.path(), "config.yaml", "kratos: http://k\nrule_files: later.yaml\n");
    assert!(fixture.next().is_err());
    write(fixture.path(), "later.yaml", "- { id: later, match: { paths: /later } }");
    assert_eq!(fixture.next_ids(), (2, vec!["later".to_owned()]));
}

#[test]
fn a_change_before_the_watch_began_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config.yaml", &config("a"));
    let path = folder.path().join("config.yaml");
    let current = load(&path, &Options::default()).unwrap_or_else(|faults| panic!("{faults}"));
    write(folder.path(), "config.yaml", &config("b"));
    let embedded_kratos = Options::default().embedded_kratos;
    let (sender, changes) = mpsc::channel();
    let watched = Watched { config: path, embedded_kratos, generation: 1 };
    let watch = watch(watched, &current, move |change| sender.send(change).unwrap()).unwrap();
    let fixture = Fixture { folder, changes, watch };
    assert_eq!(fixture.next_ids(), (2, vec!["b".to_owned()]));
}

#[test]
fn a_new_file_of_rules_belongs_to_the_configuration() {
    let fixture = fixture(|folder| {
        write(folder, "config.yaml", &config("a"));
        write(folder, "rules/one.yaml", "- { id: one, match: { paths: /one } }");
    });
    write(fixture.path(), "rules/two.yaml", "- { id: two, match: { paths: /two } }");
    assert_eq!(fixture.next_ids().1, ["a", "one", "two"]);
    std::fs::remove_file(fixture.path().join("rules/one.yaml")).unwrap();
    assert_eq!(fixture.next_ids().1, ["a", "two"]);
}

#[test]
fn a_folder_of_rules_that_appears_later_is_noticed() {
    let fixture = fixture(|folder| write(folder, "config.yaml", &config("a")));
    write(fixture.path(), "rules/one.yaml", "- { id: one, match: { paths: /one } }");
    assert_eq!(fixture.next_ids().1, ["a", "one"]);
}

#[test]
fn the_link_of_a_config_map_is_followed_when_it_is_swapped() {
    use std::os::unix::fs::symlink;
    let fixture = fixture(|folder| {
        write(folder, "..2026_1/config.yaml", &config("a"));
        symlink("..2026_1", folder.join("..data")).unwrap();
        symlink("..data/config.yaml", folder.join("config.yaml")).unwrap();
    });
    for (number, id) in [(2, "b"), (3, "c")] {
        write(fixture.path(), &format!("..2026_{number}/config.yaml"), &config(id));
        symlink(format!("..2026_{number}"), fixture.path().join("..data_tmp")).unwrap();
        std::fs::rename(fixture.path().join("..data_tmp"), fixture.path().join("..data")).unwrap();
        std::fs::remove_dir_all(fixture.path().join(format!("..2026_{}", number - 1))).unwrap();
        assert_eq!(fixture.next_ids(), (number, vec![id.to_owned()]));
    }
}

#[test]
fn what_does_not_change_is_not_compiled_unless_asked_for() {
    let fixture = fixture(|folder| write(folder, "config.yaml", &config("a")));
    write(fixture.path(), "config.yaml", &config("a"));
    write(fixture.path(), "unrelated.txt", "x");
    fixture.watch.reload();
    assert_eq!(fixture.next_ids(), (2, vec!["a".to_owned()]));
    // Had the same text counted as a change, this would have been generation 4.
    write(fixture.path(), "config.yaml", &config("b"));
    assert_eq!(fixture.next_ids(), (3, vec!["b".to_owned()]));
}

#[test]
fn a_dropped_watch_ends() {
    let Fixture { folder: _folder, changes, watch } = fixture(|folder| write(folder, "config.yaml", &config("a")));
    drop(watch);
    assert_eq!(changes.recv_timeout(PATIENCE).err(), Some(mpsc::RecvTimeoutError::Disconnected));
}
