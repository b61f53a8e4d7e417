//! The fuzz targets of this crate on a stable compiler: the committed corpus, and mutations of it from a seed.

#![allow(unreachable_pub, missing_docs, reason = "shared with the fuzz targets")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use muster_mutate::Target;
use muster_protocol::link::Decoder;

#[path = "../../../../fuzz/src/api.rs"]
mod api;
#[path = "../../../../fuzz/src/json.rs"]
mod json;
#[path = "../../../../fuzz/src/link.rs"]
mod link;
#[path = "../../../../fuzz/src/live.rs"]
mod live;

/// What the link's decoders look for.
const LINK_TOKENS: &[&str] = &[
    "9999-12-31T23:59:59.999Z",
    "1969-12-31T23:59:59Z",
    "\"version\":2",
    "\"minor\":9",
    "\"record\":1,",
    "\"full\":{}",
    "\"type\":\"hello\",",
    "\"payload\":{}",
    "\"session\":7,",
    "\"traceparent\":\"00-0\",",
];

#[test]
fn fuzz_no_bytes_of_a_machine_break_the_decoder() {
    Target::new("decode_machine")
        .json()
        .tokens(LINK_TOKENS)
        .check(link::decode_machine);
}

#[test]
fn fuzz_no_bytes_of_a_server_break_the_decoder() {
    Target::new("decode_server")
        .json()
        .tokens(LINK_TOKENS)
        .check(link::decode_server);
}

#[test]
fn fuzz_no_binary_frame_breaks_the_decompressor_or_makes_it_take_more_than_it_may() {
    Target::new("inflate")
        .tokens(&["(\u{b5}/\u{fd}"])
        .check(link::inflate);
}

#[test]
fn fuzz_no_bytes_of_a_client_break_the_live_api() {
    let tokens = &[
        "\"type\":\"subscribe\"",
        "\"topics\":[\"machine.>\"]",
        "\"rate_per_s\":",
        "\"resume_after\":",
    ];
    Target::new("live_client")
        .json()
        .tokens(tokens)
        .check(live::live_client);
}

#[test]
fn fuzz_no_bytes_of_a_server_break_who_follows_it_live() {
    let tokens = &["\"items\":[]", "\"more\":true", "\"data\":null", "\"position\":"];
    Target::new("live_server")
        .json()
        .tokens(tokens)
        .check(live::live_server);
}

#[test]
fn fuzz_no_body_breaks_the_documents() {
    let tokens = &[
        "\"display_name\":null",
        "\"labels\":{}",
        "\"next_cursor\":null",
        "\"items\":[]",
    ];
    Target::new("api_document")
        .json()
        .tokens(tokens)
        .check(api::api_document);
}

/// The law must be able to fail: decoders that lie a little are found out by it, and not by the corpus alone.
#[test]
fn a_decoder_that_lies_is_caught() {
    type Lie = fn(&Decoder, &str) -> link::Decoded;
    let lies: [(&str, Lie); 3] = [
        ("forgets the trace", |decoder, text| {
            let mut envelope = decoder.machine(text)?;
            envelope.traceparent = None;
            Ok(envelope)
        }),
        ("takes everything for the newest", |decoder, text| {
            let mut envelope = decoder.machine(text)?;
            envelope.sequence = envelope.sequence.next();
            Ok(envelope)
        }),
        ("cannot stand a backslash", |decoder, text| {
            assert!(!text.contains("\\\\"), "as planted");
            decoder.machine(text)
        }),
    ];
    for (what, lie) in lies {
        let target = Target::new("decode_machine").json().tokens(LINK_TOKENS);
        let corpus = target.corpus();
        let law = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| link::look(text, lie).is_some());
        let run = catch_unwind(AssertUnwindSafe(|| target.run(&corpus, 20_000, 1, law)));
        assert!(run.is_err(), "a decoder that {what} is not caught");
    }
}
