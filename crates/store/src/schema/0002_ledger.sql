-- Version 2: the logon ledger. Costs are counts of the directory's bad-password counter.
-- The sums in `account_guard` are kept by triggers, so that whoever writes an attempt, by whatever code, is charged and checked.

CREATE TABLE ledger_meta (
    one                INTEGER PRIMARY KEY CHECK (one = 1),
    generation         TEXT    NOT NULL,
    revision           INTEGER NOT NULL CHECK (revision >= 0),
    ledger_sequence    INTEGER NOT NULL CHECK (ledger_sequence >= 0),
    boot_id            TEXT    NOT NULL,
    wall_minus_boot_ms INTEGER NOT NULL,
    last_wall_ms       INTEGER NOT NULL,
    frozen_until_ms    INTEGER,
    freeze_reason      TEXT,
    CHECK ((frozen_until_ms IS NULL) = (freeze_reason IS NULL))
) STRICT;

-- One row per account of a directory: `directory\name`, lower case. Never deleted: the directory does not forget either.
CREATE TABLE account_guard (
    account_key      TEXT    PRIMARY KEY NOT NULL,
    k                INTEGER NOT NULL CHECK (k BETWEEN 0 AND 499),
    quiet_ms         INTEGER NOT NULL CHECK (quiet_ms >= 190000),
    secret_version   INTEGER NOT NULL DEFAULT 0 CHECK (secret_version >= 0),
    quiet_period     INTEGER NOT NULL DEFAULT 1,
    open_cost        INTEGER NOT NULL DEFAULT 0,
    charged_cost     INTEGER NOT NULL DEFAULT 0,
    not_sent_cost INTEGER NOT NULL DEFAULT 0,
    last_start_ms    INTEGER,
    last_reset_ms    INTEGER,
    frozen_until_ms  INTEGER,
    freeze_reason    TEXT,
    CHECK (open_cost >= 0 AND charged_cost >= 0 AND open_cost + charged_cost <= k),
    CHECK (not_sent_cost BETWEEN 0 AND k),
    CHECK ((frozen_until_ms IS NULL) = (freeze_reason IS NULL))
) STRICT;

-- Every name of an account leads to its one guard.
CREATE TABLE guard_name (
    name        TEXT PRIMARY KEY NOT NULL,
    account_key TEXT NOT NULL REFERENCES account_guard (account_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    attempt_id      TEXT    PRIMARY KEY NOT NULL,
    diagnosis       TEXT    NOT NULL,
    account         TEXT    NOT NULL,
    account_key     TEXT    NOT NULL REFERENCES account_guard (account_key),
    secret_version  INTEGER NOT NULL CHECK (secret_version >= 1),
    quiet_period    INTEGER NOT NULL,
    principal       TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    target          TEXT    NOT NULL,
    endpoint        TEXT    NOT NULL,
    server          TEXT    NOT NULL,
    cas             TEXT,
    scheme          TEXT    NOT NULL,
    cost            INTEGER NOT NULL CHECK (cost >= 1),
    state           TEXT    NOT NULL CHECK (state IN ('reserved', 'started', 'succeeded', 'charged', 'void')),
    outcome         TEXT    CHECK (outcome IN ('accepted', 'refused', 'unproven', 'not_sent', 'never_started')),
    begin_nonce     BLOB    UNIQUE CHECK (length(begin_nonce) = 16),
    ledger_sequence INTEGER UNIQUE,
    audit_sequence  INTEGER UNIQUE REFERENCES audit (sequence),
    reserved_ms     INTEGER NOT NULL,
    started_ms      INTEGER,
    settled_ms      INTEGER,
    CHECK (CASE state WHEN 'succeeded' THEN outcome IS 'accepted'
                      WHEN 'charged' THEN outcome IS NOT NULL AND outcome IN ('refused', 'unproven')
                      WHEN 'void' THEN outcome IS NOT NULL AND outcome IN ('not_sent', 'never_started')
                      ELSE outcome IS NULL END),
    CHECK ((settled_ms IS NULL) = (outcome IS NULL)),
    -- What was started has its nonce, its number and its line in the audit.
    CHECK ((started_ms IS NULL) = (begin_nonce IS NULL)),
    CHECK ((started_ms IS NULL) = (ledger_sequence IS NULL)),
    CHECK ((started_ms IS NULL) = (audit_sequence IS NULL)),
    CHECK ((started_ms IS NULL) = (state = 'reserved' OR outcome IS 'never_started'))
) STRICT;
CREATE UNIQUE INDEX one_open_per_account ON attempt (account_key) WHERE state IN ('reserved', 'started');
CREATE INDEX attempt_open ON attempt (state) WHERE state IN ('reserved', 'started');
CREATE INDEX attempt_of_period ON attempt (account_key, quiet_period);
CREATE INDEX attempt_of_diagnosis ON attempt (diagnosis, account_key);
CREATE INDEX attempt_by_cas ON attempt (cas, reserved_ms) WHERE cas IS NOT NULL;

-- `scope` is empty for the secret everywhere, `targets/T/endpoints/E` for one endpoint.
CREATE TABLE breaker (
    account_key    TEXT    NOT NULL REFERENCES account_guard (account_key),
    secret_version INTEGER NOT NULL,
    scope          TEXT    NOT NULL,
    attempt_id     TEXT    NOT NULL REFERENCES attempt (attempt_id),
    opened_ms      INTEGER NOT NULL,
    closed_ms      INTEGER,
    closed_by      TEXT,
    PRIMARY KEY (account_key, secret_version, scope, attempt_id),
    CHECK ((closed_ms IS NULL) = (closed_by IS NULL))
) STRICT, WITHOUT ROWID;

-- An attempt begins as reserved, under the account's present secret and quiet period, and not while frozen or refused.
CREATE TRIGGER attempt_begins_reserved BEFORE INSERT ON attempt
BEGIN
    SELECT RAISE(ABORT, 'ledger: an attempt begins as reserved') WHERE NEW.state <> 'reserved';
    SELECT RAISE(ABORT, 'ledger: not the present secret and quiet period')
     WHERE NOT EXISTS (SELECT 1 FROM account_guard g WHERE g.account_key = NEW.account_key
                          AND g.secret_version = NEW.secret_version AND g.quiet_period = NEW.quiet_period);
    SELECT RAISE(ABORT, 'ledger: frozen')
      FROM account_guard g WHERE g.account_key = NEW.account_key AND g.frozen_until_ms > NEW.reserved_ms;
    SELECT RAISE(ABORT, 'ledger: the breaker of this secret is open')
      FROM breaker b WHERE b.account_key = NEW.account_key AND b.secret_version = NEW.secret_version
                       AND b.scope = '' AND b.closed_ms IS NULL;
END;
CREATE TRIGGER attempt_is_counted AFTER INSERT ON attempt
BEGIN
    UPDATE account_guard SET open_cost = open_cost + NEW.cost WHERE account_key = NEW.account_key;
END;

-- The only ways: reserved -> started | void, started -> succeeded | charged | void, and a late proof of what was unproven:
-- charged -> succeeded | void.
CREATE TRIGGER attempt_moves_forward BEFORE UPDATE OF state ON attempt
WHEN OLD.state <> NEW.state
 AND NOT (OLD.state = 'reserved' AND NEW.state IN ('started', 'void'))
 AND NOT (OLD.state = 'started' AND NEW.state IN ('succeeded', 'charged', 'void'))
 AND NOT (OLD.state = 'charged' AND OLD.outcome = 'unproven' AND NEW.state IN ('succeeded', 'void'))
BEGIN
    SELECT RAISE(ABORT, 'ledger: forbidden transition');
END;
-- Settled for good, except that the unproven may turn out refused.
CREATE TRIGGER attempt_outcome_stays BEFORE UPDATE OF outcome ON attempt
WHEN OLD.state = NEW.state AND OLD.outcome IS NOT NEW.outcome
 AND NOT (OLD.state = 'charged' AND OLD.outcome = 'unproven' AND NEW.outcome = 'refused')
BEGIN
    SELECT RAISE(ABORT, 'ledger: a settled outcome does not change');
END;
CREATE TRIGGER attempt_facts_stay BEFORE UPDATE ON attempt
WHEN OLD.attempt_id <> NEW.attempt_id OR OLD.diagnosis <> NEW.diagnosis OR OLD.account <> NEW.account
  OR OLD.account_key <> NEW.account_key OR OLD.secret_version <> NEW.secret_version
  OR OLD.quiet_period <> NEW.quiet_period OR OLD.principal <> NEW.principal OR OLD.agent <> NEW.agent
  OR OLD.target <> NEW.target OR OLD.endpoint <> NEW.endpoint OR OLD.server <> NEW.server OR OLD.cas IS NOT NEW.cas
  OR OLD.scheme <> NEW.scheme OR OLD.cost <> NEW.cost OR OLD.reserved_ms <> NEW.reserved_ms
  OR (OLD.started_ms IS NOT NULL AND (OLD.started_ms IS NOT NEW.started_ms OR OLD.begin_nonce IS NOT NEW.begin_nonce
      OR OLD.ledger_sequence IS NOT NEW.ledger_sequence OR OLD.audit_sequence IS NOT NEW.audit_sequence))
BEGIN
    SELECT RAISE(ABORT, 'ledger: the facts of an attempt do not change');
END;
CREATE TRIGGER attempt_starts_permitted BEFORE UPDATE OF state ON attempt
WHEN OLD.state = 'reserved' AND NEW.state = 'started'
BEGIN
    SELECT RAISE(ABORT, 'ledger: frozen')
      FROM account_guard g WHERE g.account_key = NEW.account_key AND g.frozen_until_ms > NEW.started_ms;
    SELECT RAISE(ABORT, 'ledger: the secret was rotated')
      FROM account_guard g WHERE g.account_key = NEW.account_key AND g.secret_version <> NEW.secret_version;
    SELECT RAISE(ABORT, 'ledger: the breaker of this secret is open')
      FROM breaker b WHERE b.account_key = NEW.account_key AND b.secret_version = NEW.secret_version
                       AND b.scope = '' AND b.closed_ms IS NULL;
END;

CREATE TRIGGER attempt_started AFTER UPDATE OF state ON attempt
WHEN OLD.state = 'reserved' AND NEW.state = 'started'
BEGIN
    UPDATE account_guard SET last_start_ms = max(coalesce(last_start_ms, NEW.started_ms), NEW.started_ms)
     WHERE account_key = NEW.account_key;
END;
CREATE TRIGGER attempt_settled AFTER UPDATE OF state ON attempt
WHEN OLD.state IN ('reserved', 'started') AND NEW.state IN ('succeeded', 'charged', 'void')
BEGIN
    UPDATE account_guard
       SET open_cost = open_cost - NEW.cost,
           charged_cost = charged_cost + CASE NEW.state WHEN 'charged' THEN NEW.cost ELSE 0 END,
           not_sent_cost = not_sent_cost + CASE WHEN OLD.state = 'started' AND NEW.state = 'void' THEN NEW.cost ELSE 0 END
     WHERE account_key = NEW.account_key;
END;
-- A refund that comes after the quiet gap has nothing left to give back.
CREATE TRIGGER attempt_refunded AFTER UPDATE OF state ON attempt
WHEN OLD.state = 'charged' AND NEW.state IN ('succeeded', 'void')
BEGIN
    UPDATE account_guard
       SET charged_cost = charged_cost - NEW.cost, not_sent_cost = not_sent_cost + CASE NEW.state WHEN 'void' THEN NEW.cost ELSE 0 END
     WHERE account_key = NEW.account_key AND quiet_period = NEW.quiet_period;
END;

-- Charges fall away only after the quiet gap since the last start, with nothing open.
CREATE TRIGGER guard_period_needs_quiet BEFORE UPDATE OF quiet_period ON account_guard
WHEN OLD.quiet_period <> NEW.quiet_period
BEGIN
    SELECT RAISE(ABORT, 'ledger: the quiet gap has not passed')
     WHERE NEW.quiet_period <> OLD.quiet_period + 1 OR OLD.open_cost <> 0 OR NEW.charged_cost <> 0
        OR NEW.last_reset_ms IS NULL OR NEW.last_reset_ms < coalesce(OLD.last_start_ms, 0) + OLD.quiet_ms;
END;
CREATE TRIGGER guard_last_start_never_earlier BEFORE UPDATE OF last_start_ms ON account_guard
WHEN OLD.last_start_ms IS NOT NULL AND (NEW.last_start_ms IS NULL OR NEW.last_start_ms < OLD.last_start_ms)
BEGIN
    SELECT RAISE(ABORT, 'ledger: the last start does not move back');
END;
CREATE TRIGGER guard_secret_version_grows BEFORE UPDATE OF secret_version ON account_guard
WHEN NEW.secret_version < OLD.secret_version
BEGIN
    SELECT RAISE(ABORT, 'ledger: secret versions only grow');
END;
CREATE TRIGGER ledger_sequence_grows BEFORE UPDATE OF ledger_sequence ON ledger_meta
WHEN NEW.ledger_sequence < OLD.ledger_sequence
BEGIN
    SELECT RAISE(ABORT, 'ledger: its sequence only grows');
END;

CREATE TRIGGER attempt_is_kept BEFORE DELETE ON attempt
BEGIN
    SELECT RAISE(ABORT, 'ledger: nothing is deleted');
END;
CREATE TRIGGER guard_is_kept BEFORE DELETE ON account_guard
BEGIN
    SELECT RAISE(ABORT, 'ledger: nothing is deleted');
END;
CREATE TRIGGER guard_name_is_kept BEFORE DELETE ON guard_name
BEGIN
    SELECT RAISE(ABORT, 'ledger: nothing is deleted');
END;
CREATE TRIGGER breaker_is_kept BEFORE DELETE ON breaker
BEGIN
    SELECT RAISE(ABORT, 'ledger: nothing is deleted');
END;
CREATE TRIGGER ledger_meta_is_kept BEFORE DELETE ON ledger_meta
BEGIN
    SELECT RAISE(ABORT, 'ledger: nothing is deleted');
END;
