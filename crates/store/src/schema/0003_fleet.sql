-- Version 3: how agents join and how they are shut out.

-- `certificate_sha256` is the newest certificate; `previous_sha256` holds beside it until the newest is first used.
ALTER TABLE agent ADD COLUMN previous_sha256 BLOB CHECK (length(previous_sha256) = 32);
ALTER TABLE agent ADD COLUMN newest_used INTEGER NOT NULL DEFAULT 1 CHECK (newest_used IN (0, 1));
ALTER TABLE agent ADD COLUMN public_key_sha256 BLOB CHECK (length(public_key_sha256) = 32);
ALTER TABLE agent ADD COLUMN certificate_expire_ms INTEGER;
ALTER TABLE agent ADD COLUMN banned_ms INTEGER;
ALTER TABLE agent ADD COLUMN ban_reason TEXT CHECK ((banned_ms IS NULL) = (ban_reason IS NULL));
ALTER TABLE agent ADD COLUMN drained_ms INTEGER;
ALTER TABLE agent ADD COLUMN program_version TEXT NOT NULL DEFAULT '';
ALTER TABLE agent ADD COLUMN policy_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE agent ADD COLUMN seen_ms INTEGER;
-- When a certificate was shown whose successor had been used: two machines hold the identity.
ALTER TABLE agent ADD COLUMN copied_ms INTEGER;
CREATE UNIQUE INDEX agent_by_previous ON agent (previous_sha256) WHERE previous_sha256 IS NOT NULL;

-- Certificates that were followed by another one which was used.
CREATE TABLE retired_certificate (
    certificate_sha256 BLOB    PRIMARY KEY NOT NULL CHECK (length(certificate_sha256) = 32),
    vantage            TEXT    NOT NULL REFERENCES agent (vantage) ON DELETE CASCADE,
    retired_ms         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX retired_of_agent ON retired_certificate (vantage, retired_ms);

-- Of a token only its hash; it is good once.
CREATE TABLE join_token (
    token_sha256    BLOB    PRIMARY KEY NOT NULL CHECK (length(token_sha256) = 32),
    vantage         TEXT    NOT NULL,
    zone            TEXT    NOT NULL CHECK (zone IN ('external', 'dmz', 'internal', 'backend')),
    site            TEXT    NOT NULL,
    may_replace     INTEGER NOT NULL CHECK (may_replace IN (0, 1)),
    principal       TEXT    NOT NULL,
    create_ms       INTEGER NOT NULL,
    expire_ms       INTEGER NOT NULL CHECK (expire_ms > create_ms),
    used_ms         INTEGER,
    used_key_sha256 BLOB    CHECK (length(used_key_sha256) = 32),
    certificate     BLOB,
    CHECK ((used_ms IS NULL) = (used_key_sha256 IS NULL)),
    CHECK ((used_ms IS NULL) = (certificate IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX join_token_by_end ON join_token (expire_ms);

CREATE TRIGGER join_token_is_good_once BEFORE UPDATE ON join_token WHEN OLD.used_ms IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a join token is good once');
END;
CREATE TRIGGER ban_stays BEFORE UPDATE ON agent WHEN OLD.banned_ms IS NOT NULL AND NEW.banned_ms IS NOT OLD.banned_ms
BEGIN
    SELECT RAISE(ABORT, 'a ban ends only with the agent');
END;
