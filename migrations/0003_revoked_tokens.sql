-- Access tokens that were revoked one by one, remembered until they would have ended anyway.

CREATE TABLE revoked_tokens (
    jti        TEXT   NOT NULL CONSTRAINT revoked_tokens_key PRIMARY KEY,
    -- The end of the token itself.
    expires_at BIGINT NOT NULL
);

CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at);
