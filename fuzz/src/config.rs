//! Configuration files of programs, and profiles of faults: YAML that people write.

use std::cell::OnceCell;
use std::path::Path;

use muster_runtime::config::{Config, ConfigError, Settings};
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A file of these settings. What is accepted is given to `look`; what is then shown is a file that means the same.
pub fn config<S: Settings>(data: &[u8], look: impl Fn(&S)) -> bool {
    in_file("given.yaml", data, |path| {
        let config = match Config::<S>::load(Some(path), [], []) {
            Ok(config) => config,
            Err(error) => {
                refused(data, &error);
                return false;
            }
        };
        look(&config.settings);
        for shown in [config.show(), config.show_origins()] {
            let again = in_file("shown.yaml", shown.as_bytes(), |path| {
                Config::<S>::load(Some(path), [], [])
            });
            let again =
                again.unwrap_or_else(|error| panic!("what is shown is not accepted: {error}\n{shown}"));
            assert_eq!(
                values(&again.settings),
                values(&config.settings),
                "shown as\n{shown}"
            );
            assert_eq!(again.show(), config.show(), "shown twice");
        }
        for oddity in config.oddities() {
            has_a_line(data, &oddity);
        }
        true
    })
}

/// A file with this content, for as long as it takes to read it.
pub fn in_file<T>(name: &str, content: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a folder"));
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        read(&path)
    })
}

fn values<S: Settings>(settings: &S) -> Vec<(&'static str, Option<String>)> {
    let keys = S::KEYS.iter().map(|key| (key.path, (key.get)(settings)));
    let documents = S::DOCUMENTS.iter().map(|document| {
        let value = (document.show)(settings);
        (document.name, value.map(|value| format!("{value:?}")))
    });
    keys.chain(documents).collect()
}

/// Each mistake is said in words, and with a line that is there, in the order of the lines.
fn refused(data: &[u8], error: &ConfigError) {
    assert!(!error.to_string().is_empty());
    let each = error.each();
    assert!(!each.is_empty(), "{error:?}");
    let mut before = 0;
    for error in each {
        assert_eq!(error.count(), 1, "{error:?}");
        let line = has_a_line(data, error);
        assert!(
            line.is_none_or(|line| line >= before),
            "{error} comes after line {before}"
        );
        before = line.unwrap_or(before);
    }
}

/// Where it is, if it is in the file.
fn has_a_line(data: &[u8], error: &ConfigError) -> Option<usize> {
    assert!(!error.to_string().is_empty());
    // Values that do not go together may be the one that is there and one that is not.
    let (_, line) = error.place()?;
    // Where lines end is a matter of taste: YAML has more ends than other texts. What is missing is missing after the last.
    let lines = 2 + data
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r' | 0x85 | 0xa8 | 0xa9))
        .count();
    assert!(
        (1..=lines).contains(&line),
        "line {line}, and there are {lines} at most: {error}"
    );
    Some(line)
}
