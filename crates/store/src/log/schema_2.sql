-- Runs of old events, packed. A position is in `events` or in a block, never in both.
CREATE TABLE blocks (
    last        INTEGER PRIMARY KEY, -- position of its last event
    first       INTEGER NOT NULL,    -- position of its first event
    recorded_at INTEGER NOT NULL,    -- when its first event was
    hash        BLOB NOT NULL,       -- that of its last event: the chain goes on from here
    packed      BLOB NOT NULL,       -- log/block.rs says how
    seal        BLOB NOT NULL        -- 16 bytes, over all of the above
) STRICT;
