use proptest::prelude::*;

use super::*;

#[path = "../../../../fuzz/src/sse.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
mod law;

#[test]
fn fuzz_no_bytes_break_the_stream_and_cutting_them_changes_nothing() {
    let tokens = &[
        "data:",
        "data",
        "event: ",
        "id:",
        "\n\n",
        "\r\n",
        "\r",
        ":",
        "\u{feff}",
        "retry: 1\n",
    ];
    muster_mutate::Target::new("sse").tokens(tokens).check(law::sse);
}

fn read(text: &str) -> Vec<(String, String, Option<String>)> {
    let mut decoder = SseDecoder::new(1024);
    decoder.push(text.as_bytes()).expect("within limits");
    std::iter::from_fn(|| decoder.pop())
        .map(|event| (event.name, event.data, event.id))
        .collect()
}

fn event(name: &str, data: &str, id: Option<&str>) -> (String, String, Option<String>) {
    (name.to_owned(), data.to_owned(), id.map(str::to_owned))
}

#[test]
fn events_are_read() {
    let check = |text: &str, expected: &[(String, String, Option<String>)]| {
        assert_eq!(read(text), expected, "{text:?}");
    };
    check(
        "event: update\nid: 7\ndata: {\"a\":1}\n\n",
        &[event("update", "{\"a\":1}", Some("7"))],
    );
    check("data:a\ndata: b\n\n", &[event("message", "a\nb", None)]);
    check(": still here\n\n:\n\ndata: x\n\n", &[event("message", "x", None)]);
    check(
        "data: a\r\n\r\ndata: b\r\rdata: c\n\n",
        &[
            event("message", "a", None),
            event("message", "b", None),
            event("message", "c", None),
        ],
    );
    check("\u{feff}data: a\n\n", &[event("message", "a", None)]);
    check("data: not finished\n", &[]);
    check("event: empty\n\n", &[]);
    check("data\n\n", &[event("message", "", None)]);
    check(
        "retry: 5\nnew: 1\ndata:  two\n\n",
        &[event("message", " two", None)],
    );
}

#[test]
fn what_is_too_long_or_not_text_is_an_error() {
    let mut decoder = SseDecoder::new(8);
    assert_eq!(decoder.push(b"data: 123"), Err(SseError::TooLong { limit: 8 }));
    let mut decoder = SseDecoder::new(16);
    assert_eq!(
        decoder.push(b"data: 123456\ndata: 123456\n"),
        Err(SseError::TooLong { limit: 16 })
    );
    let mut decoder = SseDecoder::new(16);
    assert_eq!(decoder.push(b"data: \xff\n"), Err(SseError::NotUtf8));
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(
        lines in proptest::collection::vec("(data|event|id|:|x)?:? ?[a-zé]{0,6}(\n|\r|\r\n){1,2}", 0..20),
        cuts in proptest::collection::vec(0usize..200, 0..10),
    ) {
        let text = lines.concat();
        let mut decoder = SseDecoder::new(1 << 20);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let mut from = 0;
        for cut in cuts {
            decoder.push(&text.as_bytes()[from..cut]).expect("within limits");
            from = cut;
        }
        let pieces: Vec<_> = std::iter::from_fn(|| decoder.pop()).map(|e| (e.name, e.data, e.id)).collect();
        prop_assert_eq!(pieces, {
            let mut whole = SseDecoder::new(1 << 20);
            whole.push(text.as_bytes()).expect("within limits");
            std::iter::from_fn(|| whole.pop()).map(|e| (e.name, e.data, e.id)).collect::<Vec<_>>()
        });
    }
}
