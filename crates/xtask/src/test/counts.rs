//! How many tests ran, read from what the runners themselves say at their end.

use std::ops::AddAssign;

/// Tests of one or more runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// The runners' own summary lines.
    pub(super) summaries: Vec<String>,
    /// What failed, by name, and the first lines of why where the runner says them in one place.
    pub(super) failures: Vec<String>,
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.summaries.extend(other.summaries.iter().cloned());
        self.failures.extend(other.failures.iter().cloned());
    }
}

/// Who ran the tests, and so how its end reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Runner {
    /// `cargo nextest`: one line at the end.
    Nextest,
    /// `cargo test`: one line per test executable.
    Libtest,
    /// Vitest, Playwright or node's own runner: whatever the npm script starts.
    Script,
}

/// Reads the summaries in a runner's output.
pub(super) fn read(runner: Runner, output: &str) -> Tally {
    let lines = output.lines().map(plain);
    let mut tally = Tally {
        failures: failures(runner, output),
        ..Tally::default()
    };
    match runner {
        // A failing test's own output may hold another runner's summary; the last line is nextest's.
        Runner::Nextest => {
            if let Some((line, counts)) = lines
                .filter_map(|line| Some((line.clone(), nextest(&line)?)))
                .next_back()
            {
                tally.add(&line, counts);
            }
        }
        Runner::Libtest => {
            for line in lines {
                if let Some(counts) = libtest(&line) {
                    tally.add(&line, counts);
                }
            }
        }
        Runner::Script => {
            for line in lines {
                if let Some(counts) = vitest(&line)
                    .or_else(|| playwright(&line))
                    .or_else(|| node(&line))
                {
                    tally.add(&line, counts);
                }
            }
        }
    }
    tally
}

/// Most lines that are repeated at the end of a run.
const FAILURE_LINES_MAX: usize = 60;
/// Lines about one failure of a browser.
const LINES_OF_ONE: usize = 14;

/// The lines that name what failed. Who sees only the end of a long run needs them there.
fn failures(runner: Runner, output: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut about = 0;
    for line in output.lines().map(plain) {
        let trimmed = line.trim();
        let names = match runner {
            Runner::Nextest => ["FAIL [", "TIMEOUT [", "SIGNAL [", "ABORT ["]
                .iter()
                .any(|start| trimmed.starts_with(start)),
            Runner::Libtest => trimmed.starts_with("test ") && trimmed.ends_with(" ... FAILED"),
            Runner::Script => {
                trimmed.starts_with("not ok ") || trimmed.starts_with("FAIL ") || is_heading(trimmed)
            }
        };
        if names {
            about = if is_heading(trimmed) { LINES_OF_ONE } else { 0 };
        } else if about == 0 || trimmed.is_empty() {
            continue;
        } else {
            about -= 1;
        }
        let line = if names { trimmed.to_owned() } else { line };
        // Runners name a failure again at their end.
        if !names || !found.contains(&line) {
            found.push(line);
        }
    }
    found.truncate(FAILURE_LINES_MAX);
    found
}

/// `1) [mock] › tests/e2e/stop.spec.ts:12:5 › a page ─────`: Playwright's, above what went wrong.
fn is_heading(line: &str) -> bool {
    line.split_once(") [")
        .is_some_and(|(number, rest)| number.parse::<u32>().is_ok() && rest.contains('›'))
}

impl Tally {
    fn add(&mut self, line: &str, (passed, failed): (u64, u64)) {
        self.passed += passed;
        self.failed += failed;
        // Crates without a single test would bury those that have some.
        if passed + failed > 0 {
            self.summaries.push(line.trim().to_owned());
        }
    }
}

/// `Summary [ 1.2s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped`
fn nextest(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = line.trim().strip_prefix("Summary [")?.split_once(']')?;
    let (_, counts) = rest.split_once(" run:")?;
    Some(split(
        &without_brackets(counts),
        ',',
        &["passed"],
        &["failed", "exec failed", "timed out"],
    ))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn libtest(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    Some(split(counts, ';', &["passed"], &["failed"]))
}

/// `      Tests  1 failed | 2 passed | 1 skipped (4)`
fn vitest(line: &str) -> Option<(u64, u64)> {
    let counts = line.trim().strip_prefix("Tests ")?;
    Some(split(&without_brackets(counts), '|', &["passed"], &["failed"]))
}

/// `  12 passed (5.3s)`, `  1 failed`, `  1 flaky`: one line for each that is not zero. A flaky test passed at last.
fn playwright(line: &str) -> Option<(u64, u64)> {
    let line = without_brackets(line);
    let (number, word) = line.trim().split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "passed" | "flaky" => Some((number, 0)),
        "failed" | "interrupted" | "timed out" => Some((0, number)),
        _ => None,
    }
}

/// `# pass 5` and `# fail 0`, or with `ℹ` for the sign.
fn node(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
    let (word, number) = rest.trim().split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "pass" => Some((number, 0)),
        "fail" => Some((0, number)),
        _ => None,
    }
}

/// Sums `12 word` pieces whose word is one of those that mean passed or failed.
fn split(text: &str, separator: char, passed: &[&str], failed: &[&str]) -> (u64, u64) {
    let mut sums = (0, 0);
    for piece in text.split(separator) {
        let Some((number, word)) = piece.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        if passed.contains(&word) {
            sums.0 += number;
        } else if failed.contains(&word) {
            sums.1 += number;
        }
    }
    sums
}

/// Without what stands in round brackets, and without the space before it.
fn without_brackets(text: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept.replace(" ,", ",").trim_end().to_owned()
}

/// Without terminal colours.
fn plain(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        kept.push_str(before);
        rest = after
            .split_once(|c: char| c.is_ascii_alphabetic())
            .map_or("", |(_, after)| after);
    }
    kept + rest
}
