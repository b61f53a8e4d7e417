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
    /// A file without which this generator does not exist yet.
    source: &'static str,
    /// The script in `source` that is called, when that is a `package.json`.
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
        source: "crates/protocol/examples/generate.rs",
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
        source: "crates/protocol/examples/generate.rs",
        script: None,
    },
    Generator {
        file: "openapi/openapi.json",
        program: "cargo",
        arguments: &["run", "-q", "-p", "muster-fleet", "--example", "openapi"],
        output: Output::Printed,
        source: "crates/fleet/examples/openapi.rs",
        script: None,
    },
    Generator {
        file: "dashboard/src/api/schema.d.ts",
        program: "npm",
        arguments: &["--prefix", "dashboard", "run", "generate"],
        output: Output::Written,
        source: "dashboard/package.json",
        script: Some("generate"),
    },
];

/// Writes the generated files, or with `check` compares them and puts back what was there. True when nothing drifted.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<bool> {
    let mut drifted = Vec::new();
    for generator in GENERATORS {
        let source = workspace.path(generator.source);
        if !source.is_file()
            || generator
                .script
                .is_some_and(|script| !has_script(&source, script))
        {
            println!(
                "left out: {} ({} does not make it yet)",
                generator.file, generator.source
            );
            continue;
        }
        let file = workspace.path(generator.file);
        let before = fs::read(&file).ok();
        let after =
            make(workspace, generator).with_context(|| format!("{} cannot be generated", generator.file))?;
        let same = before.as_deref() == Some(after.as_slice());
        let kept = if check {
            before.as_deref()
        } else {
            Some(after.as_slice())
        };
        put(&file, kept)?;
        println!("{}: {}", generator.file, verdict(same, check));
        if !same {
            drifted.push(generator.file);
        }
    }
    if !check || drifted.is_empty() {
        return Ok(true);
    }
    println!("\ndrifted: {}", drifted.join(", "));
    println!("mend it: cargo xtask generate && git add {}", drifted.join(" "));
    Ok(false)
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
