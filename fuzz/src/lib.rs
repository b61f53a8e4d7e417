//! What must hold for any bytes at all. The fuzz targets call this with bytes that a fuzzer found, and a test of
//! `muster-protocol` with mutations of the corpus, on a stable compiler.

use muster_protocol::link::encode::Encode;
use muster_protocol::link::{DecodeError, Decoder, Envelope, Limits, Minor, encode};

/// What a machine might have said.
pub fn decode_machine(data: &[u8]) {
    look(data, Decoder::machine);
}

/// What a server might have said.
pub fn decode_server(data: &[u8]) {
    look(data, Decoder::server);
}

fn look<M>(data: &[u8], decode: impl Fn(&Decoder, &str) -> Result<Envelope<M>, DecodeError>)
where
    M: Encode + PartialEq + std::fmt::Debug,
{
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let strict = Decoder::default();
    match decode(&strict, text) {
        Ok(envelope) => {
            // A number may be longer as we write it, so a frame that just fits may not fit any more.
            let roomy = Decoder {
                limits: Limits {
                    frame_max_bytes: usize::MAX,
                    state_frame_max_bytes: usize::MAX,
                    string_max_bytes: usize::MAX,
                    ..Limits::default()
                },
                ..strict
            };
            let written = encode(&envelope).expect("what came as JSON can be written as JSON");
            assert_eq!(
                decode(&roomy, &written),
                Ok(envelope),
                "{text:?} became {written:?}"
            );
        }
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.label().is_empty());
            assert!(matches!(error.close_code(), 1007..=1009), "{error:?}");
        }
    }
    // One that speaks a newer minor version may say more, never less.
    let newer = Decoder {
        minor: Minor(u16::MAX),
        ..strict
    };
    if decode(&strict, text).is_ok() {
        assert!(decode(&newer, text).is_ok(), "{text:?}");
    }
}
