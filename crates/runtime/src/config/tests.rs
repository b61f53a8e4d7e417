//! The layers, and what is said of what is wrong.

mod sections;

use std::path::Path;

use super::{Config, ConfigError, Key, Settings, whole};

#[derive(Clone, Debug)]
struct Small {
    name: String,
    count: u64,
    most: u64,
}

impl Default for Small {
    fn default() -> Self {
        Self {
            name: "none".into(),
            count: 1,
            most: 10,
        }
    }
}

impl Settings for Small {
    const KEYS: &'static [Key<Self>] = &[
        Key {
            path: "name",
            accepted: "a name",
            set: |small, text| {
                small.name = text.to_owned();
                Ok(())
            },
            get: |small| Some(small.name.clone()),
        },
        Key {
            path: "limits.count",
            accepted: "0 to 100",
            set: |small, text| {
                small.count = whole(text, 0, 100)?;
                Ok(())
            },
            get: |small| Some(small.count.to_string()),
        },
        Key {
            path: "limits.most",
            accepted: "0 to 100",
            set: |small, text| {
                small.most = whole(text, 0, 100)?;
                Ok(())
            },
            get: |small| Some(small.most.to_string()),
        },
    ];

    fn disagreements(&self) -> Vec<(&'static str, &'static str)> {
        let disagree = self.count > self.most;
        Vec::from_iter(disagree.then_some(("limits.count", "at most limits.most")))
    }
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let error = Config::<Small>::read(Some((Path::new("m.yaml"), text)), [], []).expect_err(text);
    assert!(error.to_string().contains(says), "{error} should say {says}");
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_line_key_and_what_is_accepted() {
    refused("name: a\ncolour: red\n", "m.yaml:2: there is no key \"colour\"");
    refused(
        "name: a\nlimits:\n  cuont: 3\n",
        "m.yaml:3: there is no key \"limits.cuont\" (did you mean \"count\"?)",
    );
    refused("- a\n", "m.yaml:1");
    refused("name: a\nname: b\n", "m.yaml:2");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_lines() {
    let text = "limits:\n  most: many\n  cuont: 3\ncolour: red\n";
    let file = Some((Path::new("m.yaml"), text));
    let variables = [("MUSTER__LIMITS__COUNT".to_owned(), "-1".to_owned())];
    let error = Config::<Small>::read(file, variables, []).expect_err("wrong");
    let places: Vec<_> = error
        .each()
        .iter()
        .map(|error| error.place().map(|(_, line)| line))
        .collect();
    assert_eq!(places, [Some(2), Some(3), Some(4), None]);
    assert!(
        error
            .to_string()
            .starts_with("there are 4 mistakes:\n  m.yaml:2: limits.most"),
        "{error}"
    );
}

#[test]
fn flags_win_over_variables_and_those_over_files() {
    let directory = std::env::temp_dir().join(format!("muster-config-{}", std::process::id()));
    std::fs::write(&directory, "name: file\nlimits:\n  count: 2\n  most: 3\n").expect("a file");
    let variables = [
        ("MUSTER__LIMITS__COUNT".to_owned(), "3".to_owned()),
        ("MUSTER__OTHER".to_owned(), "x".to_owned()),
    ];
    let load = |flags: Vec<(&'static str, String)>| {
        Config::<Small>::load(Some(&directory), variables.clone(), flags)
    };
    let config = load(vec![("name", "flag".into())]).expect("accepted");
    assert_eq!(
        (config.settings.name.as_str(), config.settings.count),
        ("flag", 3)
    );
    assert_eq!(config.strange_variables, ["MUSTER__OTHER"]);
    assert!(
        config
            .show_origins()
            .contains("count: 3  # MUSTER__LIMITS__COUNT"),
        "{}",
        config.show()
    );
    let error = load(vec![("limits.count", "9".into())]).expect_err("too many");
    assert!(
        matches!(
            &error,
            ConfigError::Value {
                key: "limits.count",
                ..
            }
        ),
        "{error}"
    );
    let error = load(vec![("limits.count", "many".into())])
        .expect_err("no number")
        .to_string();
    assert_eq!(error, "--count: limits.count: \"many\" is not accepted: 0 to 100");
    std::fs::remove_file(&directory).expect("removed");
}

#[test]
fn a_file_full_of_brackets_is_refused_before_it_takes_time() {
    refused(
        &format!("name: a\nlimits: {}\n", "[".repeat(200_000)),
        "m.yaml:2: this is no YAML: more than 1000",
    );
    refused(
        &format!("name: {}\n", "{".repeat(1_000)),
        "m.yaml:1: this is no YAML: ",
    );
}

#[test]
fn a_file_full_of_aliases_is_refused_before_it_takes_time() {
    let bomb = "a: &a [x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nname: [*c,*c]\n";
    refused(bomb, "m.yaml:4: this is no YAML: more than 8 aliases");
}
