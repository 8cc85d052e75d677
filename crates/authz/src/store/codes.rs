//! Authorization codes: found, tried, spent once.

use portcullis_common::clock::Timestamp;

use super::engine::{End, Joined, read, row, transaction};
use super::grants::{GrantRecord, GrantRow, bind_grant, grant_columns, grant_still_stands};
use super::refresh_tokens::{NewRefreshToken, insert_refresh_token};
use super::registered_clients::MARK_CLIENT_USED;
use super::{Store, StoreError};
use crate::grants::approval::{CodeChallenge, CodeHash};

/// After so many wrong verifiers a code is dead.
pub(crate) const MAX_WRONG_VERIFIERS: i64 = 5;

/// A code as it stands, with its grant.
#[derive(Clone, Debug)]
pub(crate) struct CodeRecord {
    pub(crate) hash: CodeHash,
    pub(crate) grant: GrantRecord,
    /// Where the code was sent.
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: CodeChallenge,
    pub(crate) nonce: Option<String>,
    pub(crate) allows_refresh: bool,
    pub(crate) expires_at: Timestamp,
    /// Until then a spent code is told from an unknown one.
    pub(crate) forgotten_at: Timestamp,
    /// Whether too many wrong verifiers were sent with it.
    pub(crate) is_exhausted: bool,
}

/// The answer to the search for a code.
#[derive(Clone, Debug)]
pub(crate) enum FindCode {
    /// There is none, or it was forgotten.
    Unknown,
    /// It was redeemed before.
    Spent(Box<CodeRecord>),
    /// Nobody has redeemed it.
    Unspent(Box<CodeRecord>),
}

/// A redemption whose every check has passed.
#[derive(Clone, Debug)]
pub(crate) struct Redemption<'a> {
    pub(crate) code: &'a CodeRecord,
    pub(crate) now: Timestamp,
    /// Until then the spent code is kept.
    pub(crate) forgotten_at: Timestamp,
    /// The first of the family, if the client gets one.
    pub(crate) refresh_token: Option<NewRefreshToken>,
}

/// The answer to a redemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedeemCode {
    /// It was ours to spend, and is spent.
    Redeemed,
    /// Something relied on holds no longer: somebody else was faster.
    Lost,
}

row! {
    struct CodeRow {
        redirect_uri: String,
        code_challenge: String,
        nonce: Option<String>,
        allows_refresh: i64,
        code_expires_at: i64,
        wrong_verifiers: i64,
        spent_at: Option<i64>,
        forgotten_at: i64,
    }
}

const FIND: &str = concat!(
    "SELECT c.redirect_uri, c.code_challenge, c.nonce, c.allows_refresh,
            c.expires_at AS code_expires_at, c.wrong_verifiers, c.spent_at, c.forgotten_at, ",
    grant_columns!(),
    " FROM authorization_codes c
      JOIN grants g ON g.grant_id = c.grant_id
      JOIN accounts a ON a.account_id = g.account_id
     WHERE c.code_hash = $1"
);

const SPEND: &str = concat!(
    "UPDATE authorization_codes
        SET spent_at = $1, forgotten_at = $10
      WHERE code_hash = $6
        AND spent_at IS NULL
        AND grant_id = $2
        AND client_id = $3
        AND redirect_uri = $7
        AND code_challenge = $8
        AND expires_at > $1
        AND wrong_verifiers < $9
        AND ",
    grant_still_stands!()
);

impl Store {
    /// Finds a code with its grant.
    pub(crate) async fn find_code(&self, hash: CodeHash) -> Result<FindCode, StoreError> {
        let found: Option<Joined<CodeRow, GrantRow>> = read!(self, |connection| {
            Ok(sqlx::query_as(FIND)
                .bind(hash.to_hex())
                .fetch_optional(connection)
                .await?)
        })?;
        let Some(Joined(row, grant)) = found else {
            return Ok(FindCode::Unknown);
        };
        let grant = GrantRecord::try_from(grant)?;
        let record = Box::new(CodeRecord {
            hash,
            code_challenge: CodeChallenge::parse(&row.code_challenge).map_err(|_| {
                StoreError::Contradiction {
                    table: "authorization_codes",
                    column: "code_challenge",
                    row: grant.id.as_str().to_owned(),
                }
            })?,
            grant,
            redirect_uri: row.redirect_uri,
            nonce: row.nonce,
            allows_refresh: row.allows_refresh != 0,
            expires_at: Timestamp::from_seconds(row.code_expires_at),
            forgotten_at: Timestamp::from_seconds(row.forgotten_at),
            is_exhausted: row.wrong_verifiers >= MAX_WRONG_VERIFIERS,
        });
        Ok(match row.spent_at {
            None => FindCode::Unspent(record),
            Some(_) => FindCode::Spent(record),
        })
    }

    /// Counts a wrong verifier against an unspent code.
    pub(crate) async fn count_wrong_verifier(&self, hash: CodeHash) -> Result<(), StoreError> {
        transaction!(self, |connection| {
            sqlx::query(
                "UPDATE authorization_codes
                    SET wrong_verifiers = wrong_verifiers + 1
                  WHERE code_hash = $1
                    AND spent_at IS NULL
                    AND wrong_verifiers < $2",
            )
            .bind(hash.to_hex())
            .bind(MAX_WRONG_VERIFIERS)
            .execute(&mut *connection)
            .await?;
            Ok(End::Keep(()))
        })
    }

    /// Spends a code and writes the first refresh token, if everything relied on still holds.
    pub(crate) async fn redeem_code(
        &self,
        redemption: Redemption<'_>,
    ) -> Result<RedeemCode, StoreError> {
        let Redemption {
            code,
            now,
            forgotten_at,
            refresh_token,
        } = redemption;
        let code = code.clone();
        transaction!(self, |connection| {
            let grant = &code.grant;
            let spent = bind_grant!(sqlx::query(SPEND), now, grant)
                .bind(code.hash.to_hex())
                .bind(code.redirect_uri.as_str())
                .bind(code.code_challenge.as_str())
                .bind(MAX_WRONG_VERIFIERS)
                .bind(forgotten_at.seconds())
                .execute(&mut *connection)
                .await?
                .rows_affected();
            if spent == 0 {
                return Ok(End::Undo(RedeemCode::Lost));
            }
            // From now on no sweep takes a client away that registered itself.
            sqlx::query(MARK_CLIENT_USED)
                .bind(now.seconds())
                .bind(grant.client_id.as_str())
                .execute(&mut *connection)
                .await?;
            if let Some(token) = refresh_token {
                insert_refresh_token!(connection, grant.id, 0_i64, token, now);
            }
            Ok(End::Keep(RedeemCode::Redeemed))
        })
    }
}
