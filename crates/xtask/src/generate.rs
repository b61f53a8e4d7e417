//! Generated files that are committed: what makes them, and whether they are still what it makes.
//!
//! A generator is a command and the file it makes; begin at [`GENERATORS`]. This knows nothing of what is generated.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::{Workspace, has_script};

/// A generator that takes longer has gone wrong, even when it has to be compiled first.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// One generated file.
struct Generator {
    /// The file, from the top folder.
    file: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    output: Output,
    /// Files without which there is nothing to generate yet.
    sources: &'static [&'static str],
    /// The script that is called, when the first source is a `package.json`.
    script: Option<&'static str>,
}

/// How a generator hands over what it made.
#[derive(Clone, Copy)]
enum Output {
    /// JSON on standard output.
    Printed,
    /// It writes the file itself.
    Written,
}

/// In order: a later one may read what an earlier one made.
const GENERATORS: &[Generator] = &[
    Generator {
        file: "openapi/asyncapi.json",
        program: "cargo",
        arguments: &[
            "run",
            "-q",
            "-p",
            "muster-protocol",
            "--features",
            "schema",
            "--example",
            "generate",
            "--",
            "asyncapi",
        ],
        output: Output::Printed,
        sources: &["crates/protocol/examples/generate.rs"],
        script: None,
    },
    Generator {
        file: "openapi/machine-link.schema.json",
        program: "cargo",
        arguments: &[
            "run",
            "-q",
            "-p",
            "muster-protocol",
            "--features",
            "schema",
            "--example",
            "generate",
            "--",
            "machine-link",
        ],
        output: Output::Printed,
        sources: &["crates/protocol/examples/generate.rs"],
        script: None,
    },
    Generator {
        file: "crates/machine/src/recording/schemas.json",
        program: "cargo",
        arguments: &[
            "run",
            "-q",
            "-p",
            "muster-machine",
            "--features",
            "schema",
            "--example",
            "schemas",
        ],
        output: Output::Printed,
        sources: &["crates/machine/examples/schemas.rs"],
        script: None,
    },
    Generator {
        file: "openapi/openapi.json",
        program: "cargo",
        arguments: &["run", "-q", "-p", "muster-fleet", "--example", "openapi"],
        output: Output::Printed,
        sources: &["crates/fleet/examples/openapi.rs"],
        script: None,
    },
    Generator {
        file: "dashboard/src/api/schema.d.ts",
        program: "npm",
        arguments: &["--prefix", "dashboard", "run", "generate"],
        output: Output::Written,
        sources: &["dashboard/package.json", "openapi/openapi.json"],
        script: Some("generate"),
    },
];

/// Writes the generated files, or with `check` compares them and puts back what was there. True when nothing drifted.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<bool> {
    apply(workspace, GENERATORS, check)
}

fn apply(workspace: &Workspace, generators: &[Generator], check: bool) -> Result<bool> {
    let (mut drifted, mut broken) = (Vec::new(), Vec::new());
    for generator in generators {
        if let Some(why) = not_yet(workspace, generator) {
            println!("left out: {} ({why})", generator.file);
            continue;
        }
        let file = workspace.path(generator.file);
        let before = fs::read(&file).ok();
        let after = match make(workspace, generator) {
            Ok(after) => after,
            Err(error) => {
                println!("{}: cannot be generated: {error:#}", generator.file);
                put(&file, before.as_deref())?;
                broken.push(generator.file);
                continue;
            }
        };
        let same = before.as_deref() == Some(after.as_slice());
        put(&file, if check { before.as_deref() } else { Some(&after) })?;
        println!("{}: {}", generator.file, verdict(same, check));
        if check && !same {
            drifted.push(generator.file);
        }
    }
    if !broken.is_empty() {
        println!("\ncannot be generated: {}", broken.join(", "));
    }
    if !drifted.is_empty() {
        println!("\ndrifted: {}", drifted.join(", "));
        println!("mend it: cargo xtask generate && git add {}", drifted.join(" "));
    }
    Ok(broken.is_empty() && drifted.is_empty())
}

/// Why this generator has nothing to do yet.
fn not_yet(workspace: &Workspace, generator: &Generator) -> Option<String> {
    if let Some(missing) = generator
        .sources
        .iter()
        .find(|source| !workspace.path(source).is_file())
    {
        return Some(format!("{missing} does not exist yet"));
    }
    let (script, package) = (generator.script?, generator.sources.first()?);
    (!has_script(&workspace.path(package), script)).then(|| format!("{package} has no script {script} yet"))
}

fn verdict(same: bool, check: bool) -> &'static str {
    match (same, check) {
        (true, _) => "up to date",
        (false, true) => "drifted from its source",
        (false, false) => "written",
    }
}

/// What this generator makes today.
fn make(workspace: &Workspace, generator: &Generator) -> Result<Vec<u8>> {
    let mut command = workspace.command(".", generator.program, generator.arguments);
    match generator.output {
        Output::Printed => {
            let output = command
                .stdin(std::process::Stdio::null())
                .output()
                .context("it cannot be started")?;
            if !output.status.success() {
                bail!(
                    "{}\n{}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr).trim()
                );
            }
            document(output.stdout)
        }
        Output::Written => {
            let packages = generator
                .sources
                .first()
                .map(|package| workspace.path(package).with_file_name("node_modules"));
            if packages.is_some_and(|packages| !packages.is_dir()) {
                bail!("its packages are not installed: npm --prefix dashboard ci");
            }
            let outcome = process::run(&mut command, LIMIT)?;
            if !outcome.ok {
                bail!("{}", outcome.ending);
            }
            fs::read(workspace.path(generator.file)).context("the generator did not write it")
        }
    }
}

/// A printed JSON document as it is committed: it must be JSON, and it ends with one line end.
fn document(mut printed: Vec<u8>) -> Result<Vec<u8>> {
    serde_json::from_slice::<serde_json::Value>(&printed).context("what was printed is not JSON")?;
    printed.truncate(printed.trim_ascii_end().len());
    printed.push(b'\n');
    Ok(printed)
}

/// Brings the file to this content, or away.
fn put(file: &Path, content: Option<&[u8]>) -> Result<()> {
    if fs::read(file).ok().as_deref() == content {
        return Ok(());
    }
    let done = match content {
        Some(content) => {
            fs::create_dir_all(file.parent().unwrap_or(file)).and_then(|()| fs::write(file, content))
        }
        None => fs::remove_file(file),
    };
    done.with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator of `a.txt` that runs this shell script in an empty folder.
    fn generated(script: &'static str, check: bool, before: Option<&str>) -> (bool, Option<String>) {
        let root = std::env::temp_dir().join(format!(
            "xtask-generate-{}-{:?}",
            std::process::id(),
            script.as_ptr()
        ));
        fs::create_dir_all(&root).unwrap();
        let workspace = Workspace {
            root: root.clone(),
            cache: root.join("cache"),
        };
        fs::write(root.join("source"), "").unwrap();
        put(&root.join("a.json"), before.map(str::as_bytes)).unwrap();
        let generator = Generator {
            file: "a.json",
            program: "sh",
            arguments: Vec::leak(vec!["-c", script]),
            output: Output::Printed,
            sources: &["source"],
            script: None,
        };
        let ok = apply(&workspace, &[generator], check).unwrap();
        let after = fs::read_to_string(root.join("a.json")).ok();
        fs::remove_dir_all(&root).unwrap();
        (ok, after)
    }

    #[test]
    fn drift_is_found_and_nothing_is_changed() {
        assert_eq!(
            generated("echo '[1]'", true, Some("[1]\n")),
            (true, Some("[1]\n".into()))
        );
        assert_eq!(
            generated("echo '[2]'", true, Some("[1]\n")),
            (false, Some("[1]\n".into()))
        );
        assert_eq!(generated("echo '[3]'", true, None), (false, None));
        assert_eq!(
            generated("echo broken; exit 1", true, Some("[1]\n")),
            (false, Some("[1]\n".into()))
        );
    }

    #[test]
    fn what_drifted_is_written() {
        assert_eq!(
            generated("echo '[4]'", false, Some("[1]\n")),
            (true, Some("[4]\n".into()))
        );
        assert_eq!(generated("echo '[5]'", false, None), (true, Some("[5]\n".into())));
    }

    #[test]
    fn a_document_ends_with_one_line_end_and_is_json() {
        assert_eq!(document(b"{\"a\": 1}\n\n".to_vec()).unwrap(), b"{\"a\": 1}\n");
        assert!(document(b"warning: no document".to_vec()).is_err());
    }

    #[test]
    fn a_check_puts_back_what_was_there() {
        let file = std::env::temp_dir()
            .join(format!("xtask-put-{}", std::process::id()))
            .join("a/b.json");
        put(&file, Some(b"new")).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        put(&file, None).unwrap();
        assert!(!file.exists());
        put(&file, None).unwrap();
        fs::remove_dir_all(file.ancestors().nth(2).expect("two folders up")).unwrap();
    }
}
