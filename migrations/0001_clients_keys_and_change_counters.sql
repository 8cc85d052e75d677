-- The first schema: clients that operators made, signing keys, and the counters by which a running
-- server notices that another process changed one of them.

CREATE TABLE clients (
    client_id     TEXT   NOT NULL CONSTRAINT clients_key PRIMARY KEY,
    name          TEXT   NOT NULL,
    auth_method   TEXT   NOT NULL,
    -- SHA-256 of the secret as 64 hexadecimal digits; a public client has none.
    secret_hash   TEXT,
    -- JSON lists of texts.
    grant_types   TEXT   NOT NULL,
    redirect_uris TEXT   NOT NULL,
    -- Tokens separated by spaces; null means every declared scope.
    scope         TEXT,
    introspect    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    CONSTRAINT clients_secret_unless_public
        CHECK ((auth_method = 'none') = (secret_hash IS NULL))
);

CREATE TABLE signing_keys (
    kid             TEXT   NOT NULL CONSTRAINT signing_keys_key PRIMARY KEY,
    algorithm       TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    -- PKCS#8, sealed or plain; the first word tells which.
    private_key     TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    activated_at    BIGINT,
    retired_at      BIGINT,
    -- The end of the time in which tokens signed with a retired key may still live.
    published_until BIGINT,
    CONSTRAINT signing_keys_state
        CHECK (state IN ('next', 'active', 'retired')),
    CONSTRAINT signing_keys_active_has_begun
        CHECK ((state = 'next') = (activated_at IS NULL)),
    CONSTRAINT signing_keys_retired_has_ended
        CHECK ((state = 'retired') = (retired_at IS NOT NULL)
           AND (state = 'retired') = (published_until IS NOT NULL))
);

-- At most one next and one active key, whoever writes: first starts at the same moment and rotations
-- on several replicas are decided here.
CREATE UNIQUE INDEX signing_keys_one_live
    ON signing_keys (state)
    WHERE state IN ('next', 'active');

CREATE TABLE change_counters (
    topic TEXT   NOT NULL CONSTRAINT change_counters_key PRIMARY KEY,
    value BIGINT NOT NULL
);

INSERT INTO change_counters (topic, value) VALUES ('clients', 0);
INSERT INTO change_counters (topic, value) VALUES ('keys', 0);
