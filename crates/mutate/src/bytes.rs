//! What can be done to bytes whose meaning is not known.

use crate::chance::Chance;

/// Most bytes that one step replaces, takes out or doubles.
const PIECE_MAX_BYTES: usize = 24;
/// What is repeated grows to so much, rarely: more than most limits.
const LONG_BYTES: usize = 300 * 1024;
/// What is repeated grows to so much otherwise.
const USUAL_BYTES: usize = 4 * 1024;

/// Bytes at which encodings change their mind.
const ODD_BYTES: &[u8] = &[
    0, 1, 9, 10, 13, 31, 32, 34, 44, 58, 92, 125, 126, 127, 128, 192, 239, 254, 255,
];

/// Words that parsers of any kind trip over.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "[[[[",
    "\"\"",
    "\"\\ud800\"",
    "\\u0000",
    "\0",
    ",",
    ":",
    "}",
    "]",
    "\"",
    "'",
    "-",
    "+",
    " ",
    "\n",
    "\r\n",
    "\u{feff}",
    "😀",
    "ß",
    "İ",
    "\u{2028}",
    "%00",
    "..",
    "NaN",
    "inf",
];

/// Numbers at the ends of what types hold.
pub(crate) const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "-1",
    "1",
    "+1",
    "007",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1e999",
    "1e-999",
    "1e308",
    "3.5e38",
    "0.1",
    "5e-324",
];

/// One step.
pub(crate) fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>, corpus: &[Vec<u8>], tokens: &[&str]) {
    let at = chance.below(bytes.len() + 1);
    let to = (at + chance.below(PIECE_MAX_BYTES + 1)).min(bytes.len());
    match chance.below(14) {
        0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        1 if at < bytes.len() => bytes[at] = *chance.of(ODD_BYTES).unwrap_or(&0),
        2 if at < bytes.len() => bytes[at] = chance.below(128) as u8,
        3 => drop(bytes.drain(at..to)),
        4 => bytes.truncate(at),
        5 => put(bytes, at..to, token(chance, tokens).as_bytes()),
        6 | 7 => put(bytes, at..at, token(chance, tokens).as_bytes()),
        8 => {
            let piece = bytes[at..to].to_vec();
            let into = chance.below(bytes.len() + 1);
            put(bytes, into..into, &piece);
        }
        9 => repeat(chance, bytes, at..to),
        10 => {
            let number = *chance.of(NUMBERS).unwrap_or(&"0");
            let digits = digits(bytes, at);
            put(bytes, digits, number.as_bytes());
        }
        11 => binary_number(chance, bytes, at),
        12 => {
            let other = chance.of(corpus).map_or(&[][..], Vec::as_slice);
            let from = chance.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let other = chance.of(corpus).map_or(&[][..], Vec::as_slice);
            let from = chance.below(other.len() + 1);
            let until = (from + chance.below(4 * PIECE_MAX_BYTES)).min(other.len());
            put(bytes, at..at, &other[from..until]);
        }
    }
}

fn token<'a>(chance: &mut Chance, tokens: &'a [&'a str]) -> &'a str {
    let own = chance.below(3) > 0 && !tokens.is_empty();
    chance.of(if own { tokens } else { TOKENS }).unwrap_or(&"")
}

fn put(bytes: &mut Vec<u8>, place: std::ops::Range<usize>, piece: &[u8]) {
    bytes.splice(place, piece.iter().copied());
}

/// Puts a piece there again and again: long strings, many fields, deep nesting.
fn repeat(chance: &mut Chance, bytes: &mut Vec<u8>, place: std::ops::Range<usize>) {
    let piece = bytes[place.clone()].to_vec();
    if piece.is_empty() {
        return;
    }
    let most = if chance.one_in(64) {
        LONG_BYTES
    } else {
        USUAL_BYTES
    };
    let times = if chance.one_in(2) {
        chance.below(9)
    } else {
        chance.below(most / piece.len() + 1)
    };
    put(bytes, place.end..place.end, &piece.repeat(times));
}

/// The run of digits at or after a place, with its sign; nothing at the place if there is none.
fn digits(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let Some(found) = bytes[at..].iter().position(u8::is_ascii_digit) else {
        return at..at;
    };
    let found = at + found;
    let before = bytes[..found]
        .iter()
        .rev()
        .take_while(|byte| is_part(byte))
        .count();
    let after = bytes[found..].iter().take_while(|byte| is_part(byte)).count();
    found - before..found + after
}

/// Writes or changes a number of two, four or eight bytes, as lengths and counts are written.
fn binary_number(chance: &mut Chance, bytes: &mut [u8], at: usize) {
    let width = 2_usize << chance.below(3);
    let Some(place) = bytes.get_mut(at..at + width) else {
        return;
    };
    let value = match chance.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => i64::MAX as u64,
        3 => 1 << chance.below(64),
        4 => chance.below(300) as u64,
        _ => chance.bits(),
    };
    if chance.one_in(2) {
        place.copy_from_slice(&value.to_le_bytes()[..width]);
    } else {
        place.copy_from_slice(&value.to_be_bytes()[8 - width..]);
    }
}
