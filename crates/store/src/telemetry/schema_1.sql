CREATE TABLE machines (
    id   INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE metrics (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    unit TEXT -- NULL where the machine gave none
) STRICT;

CREATE TABLE machine_metrics (
    machine INTEGER NOT NULL,
    metric  INTEGER NOT NULL,
    PRIMARY KEY (machine, metric)
) STRICT, WITHOUT ROWID;

-- All samples of one machine that were written together, at most one minute of them.
CREATE TABLE blocks (
    machine    INTEGER NOT NULL,
    start_ms   INTEGER NOT NULL,
    generation INTEGER NOT NULL, -- which flush wrote it
    end_ms     INTEGER NOT NULL,
    body       BLOB NOT NULL,
    PRIMARY KEY (machine, start_ms, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_lines (
    machine  INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    id       INTEGER NOT NULL, -- grows with every line taken in
    severity INTEGER NOT NULL, -- 0 debug to 4 critical
    target   TEXT NOT NULL,
    message  TEXT NOT NULL,
    fields   TEXT,
    PRIMARY KEY (machine, at_ms, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
