//! The fuzz targets of this crate on a stable compiler: the committed corpus, and mutations of it from a seed.

use muster_fleet::gateway::wire::{Incoming, Wire};
use muster_mutate::Target;

#[path = "../../../../fuzz/src/paging.rs"]
mod paging;
#[path = "../../../../fuzz/src/query.rs"]
mod query;
#[path = "../../../../fuzz/src/wire.rs"]
mod wire;

#[test]
fn fuzz_no_bytes_break_the_wire_and_cutting_them_changes_nothing() {
    let tokens = &["\u{1}\u{0}", "\u{0}\u{0}\u{0}\u{0}"];
    Target::new("wire").tokens(tokens).check(wire::wire);
}

#[test]
fn fuzz_no_text_breaks_cursors() {
    let tokens = &[
        "\"Absent\"",
        "{\"Number\":1e308}",
        "{\"Text\":\"\"}",
        "+1",
        "7b7d",
        "-0",
    ];
    Target::new("cursor").json().tokens(tokens).check(paging::cursor);
}

#[test]
fn fuzz_no_query_string_breaks_the_parameters() {
    let tokens = &[
        "&",
        "=",
        "%",
        "%2",
        "%zz",
        "%00",
        "+",
        "limit=",
        "filter=",
        "sort=-",
        "cursor=",
        "at=",
        "severity=",
        "order=asc",
        "from=",
        "to=",
        "machine=",
        "topics=",
        "rate=",
        "resume_after=",
        "strategy=",
        "kind=",
    ];
    Target::new("query").text().tokens(tokens).check(query::query);
}
