-- Version 1: what people register and what diagnoses leave behind.
-- Times are milliseconds of the database's clock since 1970; bodies are encoded messages of parallax.v1.

CREATE TABLE target (
    id        TEXT    PRIMARY KEY NOT NULL,
    create_ms INTEGER NOT NULL,
    update_ms INTEGER NOT NULL,
    etag      TEXT    NOT NULL,
    body      BLOB    NOT NULL
) STRICT;

-- `ledger_key` names the row that guards the directory's account; it outlives this one.
CREATE TABLE account (
    id             TEXT    PRIMARY KEY NOT NULL,
    create_ms      INTEGER NOT NULL,
    ledger_key     TEXT    NOT NULL UNIQUE REFERENCES account_guard (account_key),
    secret_version INTEGER NOT NULL CHECK (secret_version >= 0),
    sealed_secret  BLOB,
    body           BLOB    NOT NULL,
    CHECK ((secret_version = 0) = (sealed_secret IS NULL))
) STRICT;

CREATE TABLE target_account (
    target  TEXT NOT NULL REFERENCES target (id) ON DELETE CASCADE,
    account TEXT NOT NULL REFERENCES account (id),
    PRIMARY KEY (target, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_account_by_account ON target_account (account);

CREATE TABLE agent (
    vantage            TEXT    PRIMARY KEY NOT NULL,
    zone               TEXT    NOT NULL CHECK (zone IN ('external', 'dmz', 'internal', 'backend')),
    site               TEXT    NOT NULL,
    certificate_sha256 BLOB    NOT NULL UNIQUE CHECK (length(certificate_sha256) = 32),
    registered_ms      INTEGER NOT NULL,
    session_epoch      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- `state` is the number of parallax.v1.Diagnosis.State. `ended` is set with the last event and never taken back.
CREATE TABLE diagnosis (
    id            TEXT    PRIMARY KEY NOT NULL,
    target        TEXT    NOT NULL,
    principal     TEXT    NOT NULL,
    state         INTEGER NOT NULL CHECK (state BETWEEN 1 AND 7),
    create_ms     INTEGER NOT NULL,
    end_ms        INTEGER,
    ended         INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1)),
    last_sequence INTEGER NOT NULL DEFAULT 0,
    summary       BLOB    NOT NULL,
    body          BLOB    NOT NULL,
    CHECK (ended = 0 OR (state >= 3 AND end_ms IS NOT NULL))
) STRICT;
CREATE INDEX diagnosis_newest ON diagnosis (create_ms DESC, id DESC);
CREATE INDEX diagnosis_of_target ON diagnosis (target, create_ms DESC, id DESC);
CREATE INDEX diagnosis_unfinished ON diagnosis (create_ms) WHERE ended = 0;

CREATE TRIGGER diagnosis_stays_ended BEFORE UPDATE ON diagnosis WHEN OLD.ended = 1
BEGIN
    SELECT RAISE(ABORT, 'an ended diagnosis does not change');
END;

CREATE TABLE diagnosis_event (
    diagnosis TEXT    NOT NULL REFERENCES diagnosis (id),
    sequence  INTEGER NOT NULL CHECK (sequence >= 1),
    body      BLOB    NOT NULL,
    PRIMARY KEY (diagnosis, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE report (
    task        TEXT    PRIMARY KEY NOT NULL,
    diagnosis   TEXT    NOT NULL REFERENCES diagnosis (id),
    round       INTEGER NOT NULL CHECK (round >= 1),
    received_ms INTEGER NOT NULL,
    body        BLOB    NOT NULL
) STRICT;
CREATE INDEX report_of_diagnosis ON report (diagnosis, round);

CREATE TABLE past (
    sequence INTEGER PRIMARY KEY,
    target   TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL,
    vantage  TEXT    NOT NULL,
    endpoint TEXT    NOT NULL,
    look     BLOB    NOT NULL,
    sight    BLOB    NOT NULL
) STRICT;
CREATE INDEX past_of_target ON past (target, at_ms);

-- `digest` is sealed: a request may hold a password, and a bare hash of one could be guessed against.
CREATE TABLE request (
    principal  TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    create_ms  INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    answer     BLOB    NOT NULL,
    PRIMARY KEY (principal, method, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_by_age ON request (create_ms);

CREATE TABLE audit (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms     INTEGER NOT NULL,
    principal TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    detail    TEXT    NOT NULL
) STRICT;

CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
