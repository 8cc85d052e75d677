-- Clients that registered themselves, and the tokens that invite them.

CREATE TABLE registered_clients (
    client_id               TEXT   NOT NULL CONSTRAINT registered_clients_key PRIMARY KEY,
    -- Everything that was registered, as JSON in the words of RFC 7591.
    metadata                TEXT   NOT NULL,
    -- Digest of the metadata without the ports of loopback hosts: of a public client only, so that
    -- the same program on a thousand machines is one client, whoever registers first.
    digest                  TEXT   CONSTRAINT registered_clients_digest UNIQUE,
    -- SHA-256, each as 64 hexadecimal digits; only confidential clients have them.
    secret_hash             TEXT,
    registration_token_hash TEXT,
    created_at              BIGINT NOT NULL,
    -- When it was last registered: counts for the sweep.
    renewed_at              BIGINT NOT NULL,
    -- When a code was last redeemed for it; null until the first.
    last_used_at            BIGINT,
    CONSTRAINT registered_clients_public_or_confidential
        CHECK ((digest IS NULL) = (secret_hash IS NOT NULL)
           AND (secret_hash IS NULL) = (registration_token_hash IS NULL))
);

-- What the sweep looks for.
CREATE INDEX registered_clients_unused ON registered_clients (renewed_at)
    WHERE last_used_at IS NULL;

CREATE TABLE initial_access_tokens (
    token_hash TEXT   NOT NULL CONSTRAINT initial_access_tokens_key PRIMARY KEY,
    uses_left  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT initial_access_tokens_uses CHECK (uses_left >= 0)
);

CREATE INDEX initial_access_tokens_by_expiry ON initial_access_tokens (expires_at);

-- Counts changes and removals alone: a new client needs no notice, because nobody knew it before.
INSERT INTO change_counters (topic, value) VALUES ('registrations', 0);
