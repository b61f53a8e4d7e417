//! The fuzz targets on a stable compiler: the committed corpus, and mutations of it from a seed.

#![expect(
    clippy::disallowed_methods,
    reason = "the test reads the corpus and its settings; the crate itself does not"
)]
#![allow(unreachable_pub, missing_docs, reason = "shared with the fuzz targets")]

#[path = "../../../../fuzz/src/lib.rs"]
mod fuzz;

use std::path::Path;

const SEED: u64 = 0x6d75_7374_6572;
const ROUNDS: u64 = 30_000;

/// Words that parsers trip over.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "[[[[",
    "\"\"",
    "\"\\ud800\"",
    "\\u0000",
    "-1",
    "0",
    "-0.0",
    "1e999",
    "1e-999",
    "18446744073709551615",
    "18446744073709551616",
    "9999-12-31T23:59:59.999Z",
    "1969-12-31T23:59:59Z",
    ",",
    ":",
    "}",
    "]",
    "\"version\":2",
    "\"minor\":9",
    "\"record\":1,",
    "\"full\":{}",
    "\"type\":\"hello\",",
    "\u{feff}",
    "😀",
];

struct Chance(u64);

impl Chance {
    /// Source: Vigna, "Further scramblings of Marsaglia's xorshift generators", xorshift64*.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a folder that can be read").path())
        .collect();
    paths.sort();
    let read = |path| std::fs::read(path).expect("a file that can be read");
    paths.iter().map(read).collect()
}

fn mutate(chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let to = (at + chance.below(24)).min(bytes.len());
        match chance.below(6) {
            0 if !bytes.is_empty() => bytes[at] = chance.below(128) as u8,
            1 => drop(bytes.drain(at..to)),
            2 => {
                let token = TOKENS[chance.below(TOKENS.len())];
                bytes.splice(at..to, token.bytes());
            }
            3 => {
                let token = TOKENS[chance.below(TOKENS.len())];
                bytes.splice(at..at, token.bytes());
            }
            4 => {
                let piece = bytes[at..to].to_vec();
                let into = chance.below(bytes.len());
                bytes.splice(into..into, piece);
            }
            _ => {
                let other = &corpus[chance.below(corpus.len())];
                let from = chance.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

fn run(target: &str, look: fn(&[u8])) {
    let corpus = corpus(target);
    corpus.iter().for_each(|bytes| look(bytes));
    let rounds = std::env::var("MUSTER_FUZZ_ROUNDS").map_or(ROUNDS, |rounds| {
        rounds.parse().expect("MUSTER_FUZZ_ROUNDS is a number")
    });
    let mut chance = Chance(SEED);
    for _ in 0..rounds {
        look(&mutate(&mut chance, &corpus));
    }
}

#[test]
fn no_bytes_of_a_machine_break_the_decoder() {
    run("decode_machine", fuzz::decode_machine);
}

#[test]
fn no_bytes_of_a_server_break_the_decoder() {
    run("decode_server", fuzz::decode_server);
}
