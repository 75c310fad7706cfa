-- Version 4: what a start has to know of the process before it.

-- Tasks that were granted to an agent and have no report yet. `session_epoch` is the agent's session when it was written: the
-- task was given out in that one or in a later one.
CREATE TABLE offered_task (
    task          TEXT    PRIMARY KEY NOT NULL,
    vantage       TEXT    NOT NULL REFERENCES agent (vantage) ON DELETE CASCADE,
    session_epoch INTEGER NOT NULL,
    diagnosis     TEXT    NOT NULL REFERENCES diagnosis (id),
    round         INTEGER NOT NULL CHECK (round >= 1),
    endpoint      TEXT    NOT NULL,
    offered_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX offered_task_by_age ON offered_task (offered_ms);
CREATE INDEX offered_task_of_agent ON offered_task (vantage);

-- What a diagnosis started from, as it was then. It goes when nothing can ask for it any more.
CREATE TABLE diagnosis_start (
    diagnosis TEXT    PRIMARY KEY NOT NULL REFERENCES diagnosis (id),
    start_ms  INTEGER NOT NULL,
    target    BLOB    NOT NULL,
    accounts  BLOB    NOT NULL
) STRICT;
CREATE INDEX diagnosis_start_by_age ON diagnosis_start (start_ms);

CREATE TABLE diagnosis_vantage (
    diagnosis TEXT NOT NULL REFERENCES diagnosis_start (diagnosis) ON DELETE CASCADE,
    vantage   TEXT NOT NULL,
    zone      TEXT NOT NULL CHECK (zone IN ('external', 'dmz', 'internal', 'backend')),
    site      TEXT NOT NULL,
    PRIMARY KEY (diagnosis, vantage)
) STRICT, WITHOUT ROWID;

-- Always empty: written to and rolled back, to see whether there is room.
CREATE TABLE room (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    filler BLOB NOT NULL
) STRICT;
