-- Clients that operators made and that prove by a certificate who they are (RFC 8705 §2.1). They have a
-- table of their own, because the version before this step would work with no client at all beside a
-- row of `clients` that it cannot read; so it only does not know these.

CREATE TABLE certificate_clients (
    client_id     TEXT   NOT NULL CONSTRAINT certificate_clients_key PRIMARY KEY,
    name          TEXT   NOT NULL,
    auth_method   TEXT   NOT NULL,
    -- The subject that the certificate must have, in the form of RFC 4514.
    subject       TEXT   NOT NULL,
    -- The rest as in `clients`, whose ids are no ids here.
    grant_types   TEXT   NOT NULL,
    redirect_uris TEXT   NOT NULL,
    scope         TEXT,
    introspect    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);
