//! Checkpoints of a damaged disk. Whole files are in `tests/it/snapshots.rs` and `tests/it/damage.rs`.

use muster_mutate::Target;

use super::*;

const POSITION: LogPosition = LogPosition(9);

fn stream() -> StreamName {
    "machine/0192f0c1-7b5e-7c3a-9d2f-3f1f6b1c9a10"
        .parse()
        .expect("a name")
}

/// The bytes as they are in the file, with a hash that holds: what the hash lets through must still be harmless.
#[test]
fn fuzz_no_bytes_break_what_reads_kept_states() {
    let name = stream().to_string();
    let mut decompressor = zstd::bulk::Decompressor::new().expect("memory");
    Target::new("kept_state").check(|data| {
        let hash = chain::snapshot(&name, POSITION, data);
        let mut other = hash;
        other[0] ^= 1;
        let damaged = decode(&name, POSITION, data, &other, &mut decompressor);
        assert!(damaged.is_none(), "a hash that does not hold is seen");
        let Some(body) = decode(&name, POSITION, data, &hash, &mut decompressor) else {
            return false;
        };
        assert!(body.len() <= STATE_MAX_BYTES.max(data.len()));
        let sealed = encode(POSITION, vec![(stream(), body.to_vec())]).remove(0);
        let again = decode(&name, POSITION, &sealed.stored, &sealed.hash, &mut decompressor);
        assert_eq!(again, Some(body));
        true
    });
}

#[test]
fn fuzz_no_bytes_break_what_reads_where_streams_ended() {
    Target::new("heads").check(|data| {
        // As it is, and sealed.
        assert!(decode_heads(POSITION, data).is_none(), "nobody guesses a hash");
        let mut sealed = chain::plain(data).to_vec();
        sealed.extend_from_slice(data);
        let Some((hash, heads)) = decode_heads(POSITION, &sealed) else {
            return false;
        };
        assert!(heads.len() <= data.len() / 3, "a count is not believed");
        let written = encode_heads(POSITION, &hash, &heads);
        let again = decode_heads(POSITION, &written).expect("what was written can be read");
        assert_eq!(again, (hash, heads));
        true
    });
}
