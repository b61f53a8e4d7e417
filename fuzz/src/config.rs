//! Configuration files of programs, and profiles of faults: YAML that people write.

use std::cell::OnceCell;
use std::path::Path;

use muster_runtime::config::{Config, ConfigError, Origin, Settings};
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
        let shown = config.show();
        let again = in_file("shown.yaml", shown.as_bytes(), |path| {
            Config::<S>::load(Some(path), [], [])
        });
        let again = again.unwrap_or_else(|error| panic!("what is shown is not accepted: {error}\n{shown}"));
        assert_eq!(
            values(&again.settings),
            values(&config.settings),
            "shown as\n{shown}"
        );
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
    S::KEYS
        .iter()
        .map(|key| (key.path, (key.get)(settings)))
        .collect()
}

/// It is said in words, and with a line that is there.
fn refused(data: &[u8], error: &ConfigError) {
    assert!(!error.to_string().is_empty());
    let line = match error {
        ConfigError::Syntax { line, .. } => *line,
        ConfigError::UnknownKey { origin, .. } | ConfigError::Value { origin, .. } => match origin {
            Origin::File { line, .. } => *line,
            // Values that do not go together may be the one that is there and one that is not.
            Origin::Default | Origin::Environment(_) | Origin::Flag(_) => return,
        },
        ConfigError::Read { .. } => return,
    };
    // Where lines end is a matter of taste: YAML has more ends than other texts. What is missing is missing after the last.
    let lines = 2 + data
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r' | 0x85 | 0xa8 | 0xa9))
        .count();
    assert!(
        (1..=lines).contains(&line),
        "line {line}, and there are {lines} at most: {error}"
    );
}
