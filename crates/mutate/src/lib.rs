//! Mutations of a corpus from a seed: what a fuzzer does, on a stable compiler and without coverage. For tests only.
//!
//! A law is a function that is given bytes and panics if anything that must hold does not; it says whether the bytes were
//! accepted. Begin with [`Target`]. What can be changed in bytes is in [`bytes`], in JSON as such in [`json`]. What the bytes
//! mean is not known here.
//!
//! `MUSTER_FUZZ_ROUNDS` says how many mutations a target gets, `MUSTER_FUZZ_SEED` where their chance comes from.

mod bytes;
mod chance;
mod json;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use chance::Chance;

/// Mutations where nothing is said: all targets together take some seconds.
const ROUNDS: u64 = 8_000;
/// No single input takes longer, on whatever computer.
const ONE_INPUT: Duration = Duration::from_secs(20);
/// Corpora are read by people and kept in git.
const CORPUS_FILE_MAX_BYTES: u64 = 64 * 1024;

/// Something that is given mutated bytes.
#[derive(Clone, Debug)]
pub struct Target {
    name: &'static str,
    tokens: &'static [&'static str],
    json: bool,
    text: bool,
    one_in: u64,
    folder: PathBuf,
}

/// What was done to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Inputs that are committed.
    pub corpus: u64,
    /// Inputs that were made of them.
    pub mutations: u64,
    /// How many of both were accepted.
    pub accepted: u64,
    /// The longest time that one input took.
    pub slowest: Duration,
}

impl Target {
    /// A target with its corpus in `fuzz/corpus/<name>`.
    pub fn new(name: &'static str) -> Self {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
        Self {
            name,
            tokens: &[],
            json: false,
            text: false,
            one_in: 1,
            folder: Path::new(corpus).join(name),
        }
    }

    /// Words that are put in here and there: what the decoder knows, and what it trips over.
    #[must_use]
    pub fn tokens(mut self, tokens: &'static [&'static str]) -> Self {
        self.tokens = tokens;
        self
    }

    /// The input is JSON: about half of the mutations change its values and leave it JSON.
    #[must_use]
    pub fn json(mut self) -> Self {
        self.json = true;
        self.text()
    }

    /// The input is text, so most mutations leave it text.
    #[must_use]
    pub fn text(mut self) -> Self {
        self.text = true;
        self
    }

    /// It is slow, or there is little to find: it gets one in so many of the mutations that others get.
    #[must_use]
    pub fn one_in(mut self, share: u64) -> Self {
        self.one_in = share.max(1);
        self
    }

    /// The inputs that are committed.
    ///
    /// # Panics
    ///
    /// If the folder cannot be read, or a file in it is too long for people and git.
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        read(&self.folder)
    }

    /// Gives the law the corpus and then mutations of it, as many as the environment says. Prints a line of figures.
    ///
    /// # Panics
    ///
    /// If the law does, if an input takes too long, or if nothing was accepted: then the law was hardly asked.
    pub fn check(self, mut law: impl FnMut(&[u8]) -> bool) {
        let rounds = setting("MUSTER_FUZZ_ROUNDS")
            .unwrap_or(ROUNDS)
            .div_ceil(self.one_in);
        let seed = setting("MUSTER_FUZZ_SEED").unwrap_or(1);
        let (name, corpus) = (self.name, self.corpus());
        let figures = self.each(&corpus, rounds, seed, true, &mut law);
        assert!(figures.accepted > 0, "{name}: nothing at all was accepted");
        println!(
            "figure fuzz_{name} corpus={} mutations={} accepted={} slowest_us={} seed={seed}",
            figures.corpus,
            figures.mutations,
            figures.accepted,
            figures.slowest.as_micros()
        );
    }

    /// The same with a corpus, a number of mutations and a seed that are given.
    ///
    /// # Panics
    ///
    /// If the law does, or if an input takes too long.
    pub fn run(
        &self,
        corpus: &[Vec<u8>],
        rounds: u64,
        seed: u64,
        mut law: impl FnMut(&[u8]) -> bool,
    ) -> Figures {
        self.each(corpus, rounds, seed, false, &mut law)
    }

    fn each(
        &self,
        corpus: &[Vec<u8>],
        rounds: u64,
        seed: u64,
        is_named: bool,
        law: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Figures {
        let mut figures = Figures {
            corpus: corpus.len() as u64,
            mutations: rounds,
            accepted: 0,
            slowest: Duration::ZERO,
        };
        let mut look = |bytes: &[u8]| {
            // Also when it only takes too long.
            let _named = is_named.then_some(Named {
                target: self.name,
                bytes,
            });
            let began = Instant::now();
            figures.accepted += u64::from(law(bytes));
            let took = began.elapsed();
            assert!(took < ONE_INPUT, "one input took {} s", took.as_secs());
            figures.slowest = figures.slowest.max(took);
        };
        look(&[]);
        corpus.iter().for_each(|bytes| look(bytes));
        let mut chance = Chance::new(self.name, seed);
        for _ in 0..rounds {
            look(&self.mutate(&mut chance, corpus));
        }
        figures
    }

    fn mutate(&self, chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = chance.of(corpus).cloned().unwrap_or_default();
        if self.json
            && !chance.one_in(4)
            && let Some(changed) = json::mutate(chance, &input, corpus)
        {
            input = changed;
            if !chance.one_in(4) {
                return input;
            }
        }
        for _ in 0..=chance.below(4) {
            bytes::mutate(chance, &mut input, corpus, self.tokens);
        }
        if self.text && !chance.one_in(16) {
            input = String::from_utf8_lossy(&input).into_owned().into_bytes();
        }
        input
    }
}

/// Says which bytes it was, if the law panics over them.
struct Named<'a> {
    target: &'static str,
    bytes: &'a [u8],
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let file = std::env::temp_dir().join(format!("muster-fuzz-{}-{}", self.target, std::process::id()));
        let kept = match std::fs::write(&file, self.bytes) {
            Ok(()) => format!("they are in {}", file.display()),
            Err(error) => format!("they could not be kept: {error}"),
        };
        let shown = &self.bytes[..self.bytes.len().min(2_000)];
        eprintln!(
            "{} was given {} bytes, {kept}: b\"{}\"",
            self.target,
            self.bytes.len(),
            shown.escape_ascii()
        );
    }
}

/// The files of a folder, in order of their names.
fn read(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder that can be read").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("a file that can be read");
        assert!(
            bytes.len() as u64 <= CORPUS_FILE_MAX_BYTES,
            "{} has more than {CORPUS_FILE_MAX_BYTES} bytes",
            path.display()
        );
        bytes
    };
    paths.into_iter().map(read).collect()
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")),
    )
}
