//! Running a program: its output is shown as it comes, kept for reading, and limited in time.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Lines that wait between a child and us before the child has to wait.
const LINES_WAITING: usize = 256;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// It exited with zero, in time.
    pub(crate) ok: bool,
    /// It was stopped because it took longer than its limit.
    pub(crate) timed_out: bool,
    /// What it wrote to standard output and standard error, in the order in which it arrived.
    pub(crate) output: String,
    /// Exit status or signal in words.
    pub(crate) ending: String,
}

/// Runs a program without standard input, showing its output, for at most `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;

    let (sender, lines) = sync_channel(LINES_WAITING);
    // The readers end with the pipes; they are not joined, because a grandchild may keep a pipe open after a timeout.
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);

    let mut output = String::new();
    if !collect(&lines, Instant::now() + limit, &mut output) {
        // It may have ended in this very moment; either way it is gone after this.
        let _ = child.kill();
        let _ = child.wait();
        let ending = format!("stopped after {} s", limit.as_secs());
        return Ok(Outcome {
            ok: false,
            timed_out: true,
            output,
            ending,
        });
    }
    let status = child
        .wait()
        .with_context(|| format!("{program} cannot be waited for"))?;
    Ok(Outcome {
        ok: status.success(),
        timed_out: false,
        output,
        ending: status.to_string(),
    })
}

/// Shows and keeps lines until both pipes are closed (true) or the time is over (false).
fn collect(lines: &Receiver<String>, deadline: Instant, output: &mut String) -> bool {
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                print!("{line}");
                output.push_str(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

fn forward(pipe: Option<impl Read + Send + 'static>, sender: SyncSender<String>) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit_ms: u64) -> Outcome {
        run(
            Command::new("sh").args(["-c", script]),
            Duration::from_millis(limit_ms),
        )
        .unwrap()
    }

    #[test]
    fn both_outputs_are_kept_and_the_exit_status_is_told() {
        let outcome = shell("echo out; echo err >&2; printf unfinished; exit 3", 10_000);
        assert!(!outcome.ok && !outcome.timed_out);
        for part in ["out\n", "err\n", "unfinished\n"] {
            assert!(
                outcome.output.contains(part),
                "{part:?} is not in {:?}",
                outcome.output
            );
        }
        assert!(outcome.ending.contains('3'), "{}", outcome.ending);
    }

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let outcome = shell("echo before; exec sleep 60", 300);
        assert!(outcome.timed_out && !outcome.ok);
        assert_eq!(outcome.output, "before\n");
    }

    #[test]
    fn nothing_can_be_asked_on_standard_input() {
        assert!(shell("! read answer", 10_000).ok);
    }
}
