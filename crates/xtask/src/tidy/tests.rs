//! Every rule is shown a violation it must catch and a neighbour it must leave alone.

use super::repo::{Crate, File, PURE, crates};
use super::{Finding, RULES, Repo};

/// A repository of these files.
fn repo(files: &[(&str, &str)]) -> Repo {
    let file = |(path, text): &(&str, &str)| File {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    };
    Repo {
        files: files.iter().map(file).collect(),
        ..Repo::default()
    }
}

/// A repository of these crates: name, what it uses, what its tests use.
fn linked(edges: &[(&str, &[&str], &[&str])]) -> Repo {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let found = |(name, uses, tests_use): &(&str, &[&str], &[&str])| Crate {
        name: (*name).to_owned(),
        uses: own(uses),
        tests_use: own(tests_use),
    };
    Repo {
        crates: edges.iter().map(found).collect(),
        ..Repo::default()
    }
}

/// What a rule finds, as it is printed.
fn findings(rule: &str, repo: &Repo) -> Vec<String> {
    let rule = RULES
        .iter()
        .find(|found| found.name == rule)
        .expect("the rule exists");
    (rule.check)(repo).iter().map(Finding::to_string).collect()
}

/// One file: the rule finds this at these lines (0: the whole file), and nothing else.
#[track_caller]
fn check(rule: &str, path: &str, text: &str, lines: &[usize]) {
    let found = findings(rule, &repo(&[(path, text)]));
    let expected: Vec<String> = lines
        .iter()
        .map(|line| {
            if *line == 0 {
                format!("{path}: ")
            } else {
                format!("{path}:{line}: ")
            }
        })
        .collect();
    let right = found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| a.starts_with(b));
    assert!(right, "{rule} on {path} found {found:?}, expected {expected:?}");
}

#[test]
fn architecture_names_exactly_the_crates_that_exist() {
    let page = "# House\n| crate | what |\n|---|---|\n| `model` | words |\n| [`gone`](crates/gone) | x |\n\n| `other` | y |\n";
    let mut house = linked(&[("model", &[], &[]), ("brain", &[], &[])]);
    house.files = repo(&[("ARCHITECTURE.md", page)]).files;
    let found = findings("architecture", &house);
    assert_eq!(
        found,
        [
            "ARCHITECTURE.md:5: there is no crate gone",
            "ARCHITECTURE.md: the table of crates does not name brain"
        ]
    );
}

#[test]
fn architecture_stays_short() {
    check("architecture", "ARCHITECTURE.md", &"line\n".repeat(299), &[]);
    check("architecture", "ARCHITECTURE.md", &"line\n".repeat(300), &[0]);
}

#[test]
fn edges_follow_the_table() {
    let right = linked(&[
        ("reflex", &["model", "protocol"], &["sim"]),
        ("sim", &["fleet", "machine"], &[]),
    ]);
    assert!(findings("edges", &right).is_empty());
    let wrong = linked(&[
        ("reflex", &["runtime"], &[]),
        ("sim", &["muster"], &[]),
        ("novelty", &[], &[]),
    ]);
    let found = findings("edges", &wrong);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains("reflex may not depend on runtime"));
    assert!(found[1].contains("sim may not depend on muster"));
    assert!(found[2].contains("a new crate"));
}

#[test]
fn wings_do_not_see_each_other_through_others() {
    let apart = [
        ("sim", &["machine", "fleet"][..], &[][..]),
        ("machine", &["reflex"], &[]),
        ("fleet", &["brain"], &[]),
    ];
    assert!(findings("wings", &linked(&apart)).is_empty());
    let through = [
        ("machine", &["release"][..], &[][..]),
        ("release", &["fleet"], &[]),
        ("fleet", &[], &[]),
    ];
    assert_eq!(findings("wings", &linked(&through)).len(), 1);
    let in_tests = [
        ("fleet", &[][..], &["sim"][..]),
        ("sim", &["machine"], &[]),
        ("machine", &[], &[]),
    ];
    assert_eq!(findings("wings", &linked(&in_tests)).len(), 1);
}

#[test]
fn edges_are_read_from_cargo_metadata() {
    let metadata = serde_json::json!({"packages": [{"name": "muster-fleet", "dependencies": [
        {"name": "muster-machine", "path": "x", "kind": null},
        {"name": "muster-brain", "path": "x", "kind": "build"},
        {"name": "muster-sim", "path": "x", "kind": "dev"},
        {"name": "tokio", "kind": null},
    ]}]});
    let found = crates(&metadata).unwrap();
    assert_eq!(found[0].name, "fleet");
    assert_eq!(found[0].uses, ["machine", "brain"]);
    assert_eq!(found[0].tests_use, ["sim"]);
}

#[test]
fn pure_crates_pull_in_nothing_impure() {
    let mut house = Repo::default();
    house
        .graphs
        .insert("brain".into(), vec!["serde".into(), "tokio-util".into()]);
    assert!(findings("purity", &house).is_empty());
    house.graphs.insert(
        "brain".into(),
        vec!["serde".into(), "getrandom".into(), "tokio".into()],
    );
    let found = findings("purity", &house);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("tokio") && found[1].contains("getrandom"));
}

/// The files as they are committed, so that a ban cannot be dropped without a failing test.
fn committed_bans() -> Repo {
    // Asked when the test runs: a cached test executable may serve another clone.
    let root = std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let files = PURE.iter().map(|name| {
        let path = format!("crates/{name}/clippy.toml");
        let disk = root.join("../..").join(&path);
        File {
            path,
            text: std::fs::read_to_string(disk).unwrap(),
        }
    });
    Repo {
        files: files.collect(),
        ..Repo::default()
    }
}

#[test]
fn pure_crates_have_their_bans() {
    assert_eq!(findings("bans", &committed_bans()), Vec::<String>::new());
}

#[test]
fn a_missing_ban_is_found() {
    let mut house = committed_bans();
    let file = house
        .files
        .iter_mut()
        .find(|file| file.path == "crates/brain/clippy.toml")
        .expect("brain is pure");
    file.text = file.text.replace(
        "{ path = \"std::time::Instant\"",
        "# { path = \"std::time::Instant\"",
    );
    house.files.retain(|file| file.path != "crates/model/clippy.toml");
    let found = findings("bans", &house);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("crates/model/clippy.toml: missing"));
    assert!(found[1].contains("no ban with a reason for std::time::Instant"));
}

#[test]
fn every_crate_takes_the_lints() {
    check(
        "lints",
        "crates/a/Cargo.toml",
        "[package]\n[lints]\nworkspace = true\n",
        &[],
    );
    check("lints", "crates/a/Cargo.toml", "[package]\n", &[0]);
    check("lints", "crates/a/fuzz/Cargo.toml", "[package]\n", &[]);
}

#[test]
fn long_files_are_found() {
    check("length", "crates/a/src/lib.rs", &"x\n".repeat(800), &[]);
    check("length", "crates/a/src/lib.rs", &"x\n".repeat(801), &[0]);
    check("length", "dashboard/src/page.tsx", &"x\n".repeat(801), &[0]);
    check("length", "dashboard/src/api/schema.d.ts", &"x\n".repeat(801), &[]);
    check("mains", "crates/muster/src/main.rs", &"x\n".repeat(99), &[]);
    check("mains", "crates/muster/src/main.rs", &"x\n".repeat(100), &[0]);
}

#[test]
fn leftovers_are_found() {
    check("leftovers", "a.rs", "fn a() {\n todo!()\n}", &[2]);
    check(
        "leftovers",
        "a.rs",
        "unimplemented!(\"x\")\ndbg!(x)\n#[ignore = \"slow\"]\n// FIXME x",
        &[1, 2, 3, 4],
    );
    check(
        "leftovers",
        "a.test.ts",
        "describe.only('x', f)\nit('only (this)', f)",
        &[1],
    );
    check("leftovers", "a.rs", "list.only(1); todo_list();", &[]);
    check("leftovers", "docs/a.md", "no FIXME here", &[]);
    check("leftovers", "dashboard/dist/a.js", "FIXME", &[]);
}

#[test]
fn a_line_can_be_excused_with_a_reason() {
    check(
        "leftovers",
        "a.rs",
        "// tidy: allow(leftovers): the word itself\n\"FIXME\"\n\"FIXME\"",
        &[3],
    );
    check(
        "leftovers",
        "a.rs",
        "\"FIXME\" // tidy: allow(leftovers): the word itself",
        &[],
    );
    check(
        "leftovers",
        "a.rs",
        "\"FIXME\" // tidy: allow(paths): another rule",
        &[1],
    );
}

#[test]
fn paths_of_one_computer_are_found() {
    for place in ["home", "root", "work", "Users"] {
        for before in ["cd /", "\"/", "path=/", "(/", "/"] {
            check("paths", "docs/a.md", &format!("{before}{place}/x"), &[1]);
        }
        for before in ["https://example.org/", "src/", "$HOME/", "{base}/", "./"] {
            check("paths", "docs/a.md", &format!("{before}{place}/x"), &[]);
        }
    }
}

#[test]
fn registry_hosts_are_found() {
    check(
        "registries",
        "a.toml",
        "x\nindex = \"https://index.crates.io/\"",
        &[2],
    );
    check(
        "registries",
        ".npmrc",
        "registry=https://registry.npmjs.org/",
        &[1],
    );
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    check("registries", "Cargo.lock", public, &[]);
    check(
        "registries",
        "Cargo.lock",
        "source = \"registry+https://mirror.example/index\"",
        &[1],
    );
    check(
        "registries",
        "dashboard/package-lock.json",
        "\"resolved\": \"https://registry.npmjs.org/a.tgz\"",
        &[],
    );
    check(
        "registries",
        "dashboard/package-lock.json",
        "\"resolved\": \"https://mirror.example/a.tgz\"",
        &[1],
    );
    check(
        "registries",
        "dashboard/package-lock.json",
        "\"resolved\": \"packages/own\"",
        &[],
    );
}

#[test]
fn bare_tasks_are_found() {
    for line in ["tokio::spawn(x)", "    task::spawn(x);", "use tokio::spawn;"] {
        check("tasks", "crates/fleet/src/a.rs", line, &[1]);
        check("tasks", "crates/runtime/src/a.rs", line, &[]);
    }
    check(
        "tasks",
        "crates/fleet/src/a.rs",
        "// not tokio::spawn(x)\ntask::spawn_blocking(x)",
        &[],
    );
}

#[test]
fn error_codes_and_pages_belong_together() {
    let source = (
        "crates/a/src/lib.rs",
        "\"MST-A001\"\n\"MST-A002\" MST-A0023 MST-a001\n/// MST-B001",
    );
    assert!(
        findings("errors", &repo(&[source])).is_empty(),
        "silent until there are pages"
    );
    let found = findings(
        "errors",
        &repo(&[
            source,
            ("docs/errors/MST-A001.md", ""),
            ("docs/errors/MST-B001.md", ""),
        ]),
    );
    assert_eq!(
        found,
        [
            "crates/a/src/lib.rs:2: MST-A002 has no page docs/errors/MST-A002.md",
            "docs/errors/MST-B001.md: no source uses this code",
        ]
    );
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let page = "[a](b.md#part) [b](../README.md) [c](https://x.org/y) [d](#here)\n\
                [e](missing.md \"title\") ![f](../../out.png)\n\
                ```\n[g](in-code.md)\n```\n\
                [h]: gone.md\n[i](/docs) [j](mailto:a@b)\n";
    let found = findings(
        "links",
        &repo(&[("docs/a.md", page), ("docs/b.md", ""), ("README.md", "")]),
    );
    assert_eq!(
        found,
        [
            "docs/a.md:2: missing.md leads nowhere",
            "docs/a.md:2: ../../out.png leads nowhere",
            "docs/a.md:6: gone.md leads nowhere",
        ]
    );
}
