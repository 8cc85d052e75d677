//! Decisions of people: one transaction for each, decided by the one submission that comes first.

use portcullis_common::clock::Timestamp;
use portcullis_common::scope::Scope;

use super::engine::{End, transaction};
use super::{Store, StoreError};
use crate::accounts::session::{RequestHandleHash, SessionHash};
use crate::grants::approval::{Approval, ApprovalTimes, CodeHash};

/// The answer to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordApproval {
    /// It stands; the code may be sent.
    Recorded,
    /// The request was decided before, or its time was over.
    AlreadyDecided,
    /// The session ended, or its account was disabled, in the meantime.
    SessionEnded,
}

/// What a decision relies on, and what it leaves behind beside the grant.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// The request that is decided.
    pub(crate) handle: RequestHandleHash,
    /// The session in which it is decided.
    pub(crate) session: SessionHash,
    /// The code that the client gets.
    pub(crate) code: CodeHash,
    /// What is remembered, so that the same need not be asked again.
    pub(crate) remembered: RememberedConsent,
}

/// What a person allowed, as far as a later request is compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedConsent {
    /// Host of the redirect URI.
    pub(crate) redirect_host: String,
    /// Everything that was allowed.
    pub(crate) scope: Scope,
    /// Digest of the client's metadata as it was shown.
    pub(crate) client_digest: String,
}

const DECIDE: &str = "
    UPDATE authorization_requests
       SET decided_at = $1
     WHERE handle_hash = $2
       AND decided_at IS NULL
       AND expires_at > $1";

/// Changes nothing, but holds the session until the end of the transaction: whoever ends it waits,
/// and then ends the new grant too.
const HOLD_SESSION: &str = "
    UPDATE sessions
       SET last_seen_at = last_seen_at
     WHERE session_hash = $1
       AND account_id = $2
       AND expires_at > $3
       AND EXISTS (SELECT 1 FROM accounts
                    WHERE accounts.account_id = sessions.account_id
                      AND accounts.state = 'enabled')";

const INSERT_GRANT: &str = "
    INSERT INTO grants
        (grant_id, account_id, client_id, resource, scope, auth_time, created_at, expires_at,
         era)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT COALESCE(MAX(era), 0) FROM restores))";

const INSERT_CODE: &str = "
    INSERT INTO authorization_codes
        (code_hash, grant_id, client_id, redirect_uri, code_challenge, nonce, allows_refresh,
         created_at, expires_at, wrong_verifiers, forgotten_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)";

const REMEMBER: &str = "
    INSERT INTO consents
        (account_id, client_id, resource, redirect_host, scope, client_digest, given_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (account_id, client_id, resource, redirect_host) DO UPDATE
       SET scope = excluded.scope,
           client_digest = excluded.client_digest,
           given_at = excluded.given_at";

impl Store {
    /// Writes an approval with its code, if the request is still open and the session still lives.
    pub(crate) async fn record_approval(
        &self,
        approval: &Approval,
        decision: &Decision,
        times: ApprovalTimes,
    ) -> Result<RecordApproval, StoreError> {
        let (approval, decision) = (approval.clone(), decision.clone());
        let now = times.now.seconds();
        transaction!(self, |connection| {
            let decided = sqlx::query(DECIDE)
                .bind(now)
                .bind(decision.handle.to_hex())
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if decided == 0 {
                return Ok(End::Undo(RecordApproval::AlreadyDecided));
            }
            let held = sqlx::query(HOLD_SESSION)
                .bind(decision.session.to_hex())
                .bind(approval.account_id.as_str())
                .bind(now)
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if held == 0 {
                return Ok(End::Undo(RecordApproval::SessionEnded));
            }
            sqlx::query(INSERT_GRANT)
                .bind(approval.grant_id.as_str())
                .bind(approval.account_id.as_str())
                .bind(approval.client_id.as_str())
                .bind(approval.resource.as_str())
                .bind(approval.scope.to_string())
                .bind(approval.auth_time.seconds())
                .bind(now)
                .bind(times.grant_expires_at.seconds())
                .execute(&mut *connection)
                .await?;
            sqlx::query(INSERT_CODE)
                .bind(decision.code.to_hex())
                .bind(approval.grant_id.as_str())
                .bind(approval.client_id.as_str())
                .bind(approval.redirect_uri.as_str())
                .bind(approval.code_challenge.as_str())
                .bind(approval.nonce.as_deref())
                .bind(i64::from(approval.allows_refresh))
                .bind(now)
                .bind(times.code_expires_at.seconds())
                .bind(times.code_forgotten_at.seconds())
                .execute(&mut *connection)
                .await?;
            sqlx::query(REMEMBER)
                .bind(approval.account_id.as_str())
                .bind(approval.client_id.as_str())
                .bind(approval.resource.as_str())
                .bind(decision.remembered.redirect_host.as_str())
                .bind(decision.remembered.scope.to_string())
                .bind(decision.remembered.client_digest.as_str())
                .bind(now)
                .execute(&mut *connection)
                .await?;
            Ok(End::Keep(RecordApproval::Recorded))
        })
    }

    /// Closes a request without an approval; `false` if it was decided before or is over.
    pub(crate) async fn record_denial(
        &self,
        handle: RequestHandleHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        transaction!(self, |connection| {
            let decided = sqlx::query(DECIDE)
                .bind(now.seconds())
                .bind(handle.to_hex())
                .execute(&mut *connection)
                .await?
                .rows_affected();
            Ok(End::Keep(decided == 1))
        })
    }
}
