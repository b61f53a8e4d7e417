-- The log has no secondary index on purpose: it would cost three quarters of the append rate. The history of one stream
-- is read by walking `previous`.
CREATE TABLE streams (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    stream      INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    previous    INTEGER NOT NULL, -- position of the event before in the same stream, 0 if there is none
    recorded_at INTEGER NOT NULL, -- milliseconds since 1970, never decreasing
    body        BLOB NOT NULL,
    hash        BLOB NOT NULL     -- 16 bytes, over this row and the hash of the row before
) STRICT;

-- A checkpoint of position P and the newest snapshot of every stream at or before P make the state after P.
CREATE TABLE checkpoints (
    position    INTEGER PRIMARY KEY,
    recorded_at INTEGER NOT NULL,
    heads       BLOB              -- where every stream ended; only the newest checkpoints keep it
) STRICT;

CREATE TABLE snapshots (
    stream   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    body     BLOB NOT NULL,       -- first byte: 0 plain, 1 zstd
    hash     BLOB NOT NULL,
    PRIMARY KEY (stream, position)
) STRICT, WITHOUT ROWID;
