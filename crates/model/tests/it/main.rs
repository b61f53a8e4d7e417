//! The fuzz targets of this crate on a stable compiler: the committed corpus, and mutations of it from a seed.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    reason = "shared with the fuzz targets"
)]

use muster_mutate::Target;

#[path = "../../../../fuzz/src/entry.rs"]
mod entry;
#[path = "../../../../fuzz/src/filter.rs"]
mod filter;
#[path = "../../../../fuzz/src/json.rs"]
mod json;
#[path = "../../../../fuzz/src/words.rs"]
mod words;

#[test]
fn fuzz_no_text_breaks_times_topics_ids_and_words() {
    let tokens = &[
        "2026-11-21T07:00:00.123Z",
        "T",
        "Z",
        "z",
        "t",
        "+01:00",
        "-23:59",
        ":60",
        "00",
        "29",
        ".5",
        "machine.",
        "robot.",
        "*",
        ">",
        ".>",
        ".*",
        ".",
        "_",
        "urn:uuid:",
        "{",
        "}",
        "online",
        "warning",
        "[u-ca=hebrew]",
        "[Europe/Oslo]",
    ];
    Target::new("words").text().tokens(tokens).check(words::words);
}

#[test]
fn fuzz_no_text_breaks_the_filter() {
    let tokens = &[
        "kind=",
        "region!=",
        "battery<",
        "cpu>=",
        "status=",
        "label.",
        "name~",
        "last_seen>",
        "|",
        "\"",
        ",",
        " ",
        "=",
        "<=",
        "online",
        "lost",
        "1e400",
        "nan",
        "-inf",
        "label.=",
        "mode=idle",
    ];
    Target::new("filter").text().tokens(tokens).check(filter::filter);
}

#[test]
fn fuzz_no_bytes_break_what_reads_entries_of_the_log() {
    let tokens = &[
        "\"registered\"",
        "{\"renamed\":{\"display_name\":null}}",
        "\"patch\":{",
        "\"full\":{",
        "null",
    ];
    Target::new("log_entry")
        .json()
        .tokens(tokens)
        .check(entry::log_entry);
}

#[test]
fn fuzz_no_bytes_break_what_reads_checkpoints() {
    Target::new("snapshot").json().check(entry::snapshot);
}
