//! The live stream as the client reads it: what comes of bytes does not depend on how the network cuts them.

use super::SseDecoder;

/// Small, so that mutations reach it.
const EVENT_MAX_BYTES: usize = 1_000;

/// Name, data and id of each event, and how it ended.
type Read = (Vec<(String, String, Option<String>)>, Result<(), String>);

/// Bytes of a server.
pub fn sse(data: &[u8]) -> bool {
    let whole = read(data.chunks(data.len().max(1)));
    assert_eq!(read(data.chunks(1)), whole, "byte by byte");
    assert_eq!(read(data.chunks(7)), whole, "in pieces of 7");
    let (events, ending) = &whole;
    if let Err(error) = ending {
        assert!(!error.is_empty());
    }
    let mut text = String::new();
    for (name, data, id) in events {
        assert!(data.len() <= EVENT_MAX_BYTES, "data of {} bytes", data.len());
        assert!(
            !name.contains(['\r', '\n']) && !data.contains('\r'),
            "{name:?} {data:?}"
        );
        text.push_str(&format!("event: {name}\n"));
        if let Some(id) = id {
            text.push_str(&format!("id: {id}\n"));
        }
        data.split('\n')
            .for_each(|line| text.push_str(&format!("data: {line}\n")));
        text.push('\n');
    }
    // Written by the book it is the same again; the limit is on bytes, of which there are a few more then.
    let mut decoder = SseDecoder::new(16 * EVENT_MAX_BYTES);
    decoder.push(text.as_bytes()).expect("written by the book");
    let again: Vec<_> = std::iter::from_fn(|| decoder.pop())
        .map(|event| (event.name, event.data, event.id))
        .collect();
    assert_eq!(&again, events);
    !events.is_empty()
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut decoder = SseDecoder::new(EVENT_MAX_BYTES);
    let mut events = Vec::new();
    for piece in pieces {
        let pushed = decoder.push(piece);
        events.extend(std::iter::from_fn(|| decoder.pop()).map(|event| (event.name, event.data, event.id)));
        if let Err(error) = pushed {
            return (events, Err(error.to_string()));
        }
    }
    (events, Ok(()))
}
