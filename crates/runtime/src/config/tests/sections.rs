//! Sections with a structure: every mistake is said, with its line, and none that only follows from another.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError, Document, Key, Mistake, Settings};

#[derive(Clone, Debug, Default)]
struct Garden {
    plants: BTreeMap<String, Plant>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Plant {
    Tree {
        height: u8,
        #[serde(default)]
        label: Option<String>,
        #[serde(default)]
        fruit: bool,
    },
    Flower {
        colours: Vec<f64>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    plant: String,
    at: At,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    x: i32,
}

impl Settings for Garden {
    const KEYS: &'static [Key<Self>] = &[];
    const DOCUMENTS: &'static [Document<Self>] = &[
        Document {
            name: "plants",
            read: |garden, reading| garden.plants = reading.named(),
            show: |garden| yaml_serde::to_value(&garden.plants).ok(),
        },
        Document {
            name: "rows",
            read: |garden, reading| garden.rows = reading.listed().into_iter().map(|(_, row)| row).collect(),
            show: |garden| yaml_serde::to_value(&garden.rows).ok(),
        },
    ];

    fn disagreements(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let rows = self.rows.iter().enumerate();
        let unknown = rows.filter(|(_, row)| !self.plants.contains_key(&row.plant));
        unknown
            .map(|(place, row)| Mistake {
                path: vec!["rows".to_owned(), place.to_string(), "plant".to_owned()],
                what: format!("there is no plant {:?}", row.plant),
            })
            .collect()
    }

    fn oddities(&self) -> Vec<Mistake> {
        let odd = self.plants.is_empty().then(|| Mistake {
            path: vec!["plants".to_owned()],
            what: "nothing grows".to_owned(),
        });
        Vec::from_iter(odd)
    }
}

fn read(text: &str) -> Result<Config<Garden>, ConfigError> {
    Config::read(Some((Path::new("g.yaml"), text)), [], [])
}

/// What is said of a file, line by line.
#[track_caller]
fn said(text: &str, expected: &[&str]) {
    let error = read(text).expect_err(text);
    let said: Vec<_> = error.each().iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{text}");
}

const TREE: &str = "plants:\n  oak: {type: tree, height: 0x10}\n";

#[test]
fn what_is_right_is_read_and_shown_as_it_was_written() {
    let text = "plants:\n  oak:\n    type: tree\n    height: 30\n    label: \"0042\"\n  rose: {type: flower, colours: [0.5, 1]}\nrows:\n- plant: oak\n  at: {x: -3}\n";
    let config = read(text).expect("accepted");
    let oak = Plant::Tree {
        height: 30,
        label: Some("0042".to_owned()),
        fruit: false,
    };
    assert_eq!(config.settings.plants["oak"], oak);
    assert_eq!(config.settings.rows[0].at.x, -3);
    assert_eq!(
        config.show(),
        "plants:\n  oak:\n    type: tree\n    height: 30\n    label: \"0042\"\n    fruit: false\n  rose:\n    type: flower\n    colours: [0.5, 1]\nrows:\n  - plant: oak\n    at:\n      x: -3\n"
    );
    let shown = config.show_origins();
    for line in [
        "    height: 30  # g.yaml:4",
        "    fruit: false  # default",
        "    colours: [0.5, 1]  # g.yaml:6",
        "  - plant: oak  # g.yaml:8",
        "      x: -3  # g.yaml:9",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    let again = read(&shown).expect("accepted again").settings;
    assert_eq!(
        (again.plants, again.rows),
        (config.settings.plants, config.settings.rows)
    );
}

#[test]
fn a_wrong_item_does_not_hide_the_next_nor_a_wrong_field_the_next() {
    said(
        "plants:\n  oak: {type: tree, height: 300}\n  elm:\n    type: tre\n    height: 1\n  fir:\n    type: tree\n    hight: 1\n    fruit: maybe\n  ivy: []\n  yew: {height: 1}\n",
        &[
            "g.yaml:2: plants.oak.height: 300 is not accepted: a whole number, 0 to 255",
            "g.yaml:4: plants.elm.type: \"tre\" is not accepted (did you mean \"tree\"?): tree, flower",
            "g.yaml:8: plants.fir.hight: there is no such field (did you mean \"height\"?); accepted are height, label, fruit",
            "g.yaml:9: plants.fir.fruit: \"maybe\" is not accepted: true or false",
            "g.yaml:10: plants.ivy: a list is not accepted: fields with values",
            "g.yaml:11: plants.yew: `type` is missing",
        ],
    );
    said(
        "rows:\n- plant: oak\n  at:\n    x: far\n    y: 1\n- 7\n- {plant: 5, at: {x: 1.5}}\nplants:\n- a\n",
        &[
            "g.yaml:4: rows[0].at.x: \"far\" is not accepted: a whole number",
            "g.yaml:5: rows[0].at.y: there is no such field; accepted are x",
            "g.yaml:6: rows[1]: 7 is not accepted: fields with values",
            "g.yaml:7: rows[2].plant: 5 is not accepted: a text; what looks like a number is one between quotes",
            "g.yaml:7: rows[2].at.x: 1.5 is not accepted: a whole number",
            "g.yaml:8: plants: names with what they stand for are accepted",
        ],
    );
}

#[test]
fn what_only_follows_from_another_mistake_is_not_said() {
    let row = |plant: &str| format!("rows:\n- plant: {plant}\n  at: {{x: 1}}\n");
    said(
        &format!("{TREE}{}", row("elm")),
        &["g.yaml:4: rows[0].plant: there is no plant \"elm\""],
    );
    // The elm is there, and is wrong.
    said(
        &format!("{TREE}  elm: {{type: tree}}\n{}", row("elm")),
        &["g.yaml:3: plants.elm: `height` is missing"],
    );
}

#[test]
fn a_section_that_does_not_exist_and_one_that_stands_twice_are_said() {
    said(
        "plant: 1\n",
        &["g.yaml:1: there is no key \"plant\" (did you mean \"plants\"?); accepted are plants, rows"],
    );
    said(
        &format!("{TREE}rows: []\nplants: {{}}\n"),
        &["g.yaml:4: this is no YAML: the key \"plants\" stands twice, the first time in line 1"],
    );
    for nothing in ["plants:\n", "plants: ~\nrows: []\n", ""] {
        let config = read(nothing).expect(nothing);
        assert_eq!(
            config.oddities()[0].to_string().split(": ").last(),
            Some("nothing grows")
        );
    }
}

#[test]
fn what_reads_without_end_is_refused() {
    let error = read(&format!("rows:\n{}", "- 1\n".repeat(19_000))).expect_err("wrong rows");
    assert_eq!((error.count(), error.each().len()), (19_000, 100));
    assert!(error.to_string().ends_with("and 18900 more"));
    let keys: String = (0..1_001)
        .map(|n| format!("  p{n}: {{type: tree, height: 1}}\n"))
        .collect();
    // The braces come first.
    said(
        &format!("plants:\n{keys}"),
        &["g.yaml:1002: this is no YAML: more than 1000 brackets and braces"],
    );
    let keys: String = (0..1_001).map(|n| format!("  p{n}: x\n")).collect();
    said(
        &format!("plants:\n{keys}"),
        &["g.yaml:1002: this is no YAML: more than 1000 keys in one section"],
    );
    let deep: String = (0..17).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    said(&deep, &["g.yaml:17: this is no YAML: more than 16 levels deep"]);
    said(
        &format!("rows:\n{}", "- 1\n".repeat(20_000)),
        &["g.yaml:20001: this is no YAML: more than 20000 keys and values"],
    );
    let aliased = format!("rows: &a\n{}plants: [*a, *a, *a]\n", "- 1\n".repeat(6_000));
    said(
        &aliased,
        &["g.yaml:6002: this is no YAML: more than 20000 keys and values"],
    );
    for (odd, says) in [
        ("plants: !!map {}\n", "tags are not read"),
        ("a: 1\n---\nb: 2\n", "a second document begins"),
        ("? [a]\n: 1\n", "a key is a word"),
        ("plants: &a {oak: *a}\n", "an alias stands for itself"),
    ] {
        let error = read(odd).expect_err(odd).to_string();
        assert!(error.contains(says), "{error} should say {says}");
    }
}

#[test]
fn an_alias_is_what_it_stands_for() {
    let config = read("plants:\n  oak: &tall {type: tree, height: 30}\n  elm: *tall\n").expect("accepted");
    assert_eq!(config.settings.plants["elm"], config.settings.plants["oak"]);
    let error =
        read("plants:\n  oak: &tall {type: tree, height: 3000}\n  elm: *tall\n").expect_err("too tall");
    assert_eq!(error.each().len(), 2, "{error}");
}

#[test]
fn texts_that_look_like_something_else_stay_texts() {
    for label in [
        "0042", "12", "0x10", "true", "~", "null", "", " a", "a: b", "- a", "a #b", "[", "1e3", "\u{1}",
        "a\nb", "é",
    ] {
        let tree = Plant::Tree {
            height: 1,
            label: Some(label.to_owned()),
            fruit: true,
        };
        let settings = Garden {
            plants: BTreeMap::from([("oak".to_owned(), tree)]),
            rows: Vec::new(),
        };
        let config = Config {
            settings,
            given: Vec::new(),
            file: None,
            strange_variables: Vec::new(),
        };
        for shown in [config.show(), config.show_origins()] {
            let again = read(&shown).unwrap_or_else(|error| panic!("{error}\n{shown}"));
            assert_eq!(again.settings.plants, config.settings.plants, "{shown}");
        }
    }
}
