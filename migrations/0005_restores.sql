-- Restored backups. A backup believes that codes and refresh tokens live which were spent since; so
-- whoever restores one counts it here, and what a grant of before leads to is refused from then on.

CREATE TABLE restores (
    -- 1 for the first; a store that was never restored has no row.
    era         BIGINT NOT NULL CONSTRAINT restores_key PRIMARY KEY,
    restored_at BIGINT NOT NULL
);

-- The era in which the grant was made: no clock can be wrong about it.
ALTER TABLE grants ADD COLUMN era BIGINT NOT NULL DEFAULT 0;
