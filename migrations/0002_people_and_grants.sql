-- People, and what they allow: accounts, browser sessions, authorization requests under way, and
-- grants with their codes and refresh tokens.

CREATE TABLE accounts (
    -- The subject of tokens: random, never a name, never with a colon.
    account_id          TEXT   NOT NULL CONSTRAINT accounts_key PRIMARY KEY,
    -- In lower case and composed form, so that two spellings are one account.
    username            TEXT   NOT NULL CONSTRAINT accounts_username UNIQUE,
    email               TEXT,
    email_verified      BIGINT NOT NULL,
    role                TEXT   NOT NULL,
    state               TEXT   NOT NULL,
    -- Argon2id, as a PHC string.
    password_hash       TEXT   NOT NULL,
    created_at          BIGINT NOT NULL,
    password_changed_at BIGINT NOT NULL,
    CONSTRAINT accounts_role CHECK (role IN ('admin', 'user')),
    CONSTRAINT accounts_state CHECK (state IN ('enabled', 'disabled')),
    CONSTRAINT accounts_email_verified CHECK (email_verified IN (0, 1))
);

CREATE TABLE sessions (
    session_hash     TEXT   NOT NULL CONSTRAINT sessions_key PRIMARY KEY,
    account_id       TEXT   NOT NULL
        CONSTRAINT sessions_account REFERENCES accounts (account_id) ON DELETE CASCADE,
    authenticated_at BIGINT NOT NULL,
    last_seen_at     BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
);

CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- An authorization request that was validated and waits for its person. The browser holds the
-- handle; everything else stays here.
CREATE TABLE authorization_requests (
    handle_hash TEXT   NOT NULL CONSTRAINT authorization_requests_key PRIMARY KEY,
    -- The validated request, as JSON.
    request     TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    -- Set once, by the one submission that decides.
    decided_at  BIGINT
);

CREATE INDEX authorization_requests_by_expiry ON authorization_requests (expires_at);

-- What a person remembers to have allowed: asked again when anything of it differs.
CREATE TABLE consents (
    account_id    TEXT   NOT NULL
        CONSTRAINT consents_account REFERENCES accounts (account_id) ON DELETE CASCADE,
    client_id     TEXT   NOT NULL,
    resource      TEXT   NOT NULL,
    redirect_host TEXT   NOT NULL,
    scope         TEXT   NOT NULL,
    -- Digest of the client's metadata when it was shown.
    client_digest TEXT   NOT NULL,
    given_at      BIGINT NOT NULL,
    CONSTRAINT consents_key PRIMARY KEY (account_id, client_id, resource, redirect_host)
);

-- One approval, and the family of everything that came from it.
CREATE TABLE grants (
    grant_id   TEXT   NOT NULL CONSTRAINT grants_key PRIMARY KEY,
    account_id TEXT   NOT NULL
        CONSTRAINT grants_account REFERENCES accounts (account_id) ON DELETE CASCADE,
    client_id  TEXT   NOT NULL,
    resource   TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    auth_time  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- No refresh token of the family outlives this.
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT,
    end_reason TEXT,
    CONSTRAINT grants_end CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);

CREATE INDEX grants_by_account ON grants (account_id);
CREATE INDEX grants_by_client ON grants (client_id);
CREATE INDEX grants_by_expiry ON grants (expires_at);
CREATE INDEX grants_by_end ON grants (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE authorization_codes (
    code_hash          TEXT   NOT NULL CONSTRAINT authorization_codes_key PRIMARY KEY,
    grant_id           TEXT   NOT NULL
        CONSTRAINT authorization_codes_grant REFERENCES grants (grant_id) ON DELETE CASCADE,
    client_id          TEXT   NOT NULL,
    -- Where the answer went.
    redirect_uri       TEXT   NOT NULL,
    -- S256, 43 characters.
    code_challenge     TEXT   NOT NULL,
    nonce              TEXT,
    -- 0 when the person was offered offline access and unticked it: no refresh token then.
    allows_refresh     BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    expires_at         BIGINT NOT NULL,
    wrong_verifiers    BIGINT NOT NULL,
    spent_at           BIGINT,
    -- The spent code is kept until then, so that a replay can be told from a guess.
    forgotten_at       BIGINT NOT NULL,
    CONSTRAINT authorization_codes_allows_refresh CHECK (allows_refresh IN (0, 1))
);

CREATE INDEX authorization_codes_by_grant ON authorization_codes (grant_id);
CREATE INDEX authorization_codes_by_end ON authorization_codes (forgotten_at);

CREATE TABLE refresh_tokens (
    token_hash     TEXT   NOT NULL CONSTRAINT refresh_tokens_key PRIMARY KEY,
    grant_id       TEXT   NOT NULL
        CONSTRAINT refresh_tokens_grant REFERENCES grants (grant_id) ON DELETE CASCADE,
    -- 0 for the first of the family; every rotation adds one.
    generation     BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    rotated_at     BIGINT,
    -- The answer that the rotation gave, sealed under a key derived from this token's text, so that
    -- the same answer can be given again; erased when it must not be given any more.
    sealed_answer  TEXT,
    -- The end of the time in which the answer is given again; null while the successor is unused.
    answer_until   BIGINT,
    CONSTRAINT refresh_tokens_generation UNIQUE (grant_id, generation),
    CONSTRAINT refresh_tokens_answer CHECK (sealed_answer IS NULL OR rotated_at IS NOT NULL)
);

-- One live leaf in a family, ever.
CREATE UNIQUE INDEX refresh_tokens_one_leaf ON refresh_tokens (grant_id) WHERE rotated_at IS NULL;
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
-- The answers that must be erased.
CREATE INDEX refresh_tokens_by_answer_end ON refresh_tokens (answer_until)
    WHERE sealed_answer IS NOT NULL AND answer_until IS NOT NULL;

INSERT INTO change_counters (topic, value) VALUES ('accounts', 0);
INSERT INTO change_counters (topic, value) VALUES ('grants', 0);
