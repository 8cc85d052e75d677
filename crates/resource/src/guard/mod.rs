//! The guard: a tower layer that lets only permitted requests through.
//!
//! It protects any axum or rmcp service. It may assume nothing about what it protects and knows
//! nothing of rmcp; it must never pass on a request that it has not understood. The order of its
//! checks stands in one function, `Guard::admit`.

mod audit;
mod bearer;
mod body;
mod caller;
mod challenge;
mod envelope;
mod layer;
mod lease;
mod operation;
mod places;
mod refusal;
mod sessions;
mod shared_sessions;

pub use body::ParsedBody;
pub use caller::{Caller, Principal};
pub use challenge::Challenge;
pub use envelope::{OperationOf, Surface};
pub use layer::{GuardLayer, GuardService};
pub use operation::{Operation, OperationPolicy, Requirement, ScopeForEverything};
pub use refusal::Refusal;
pub use sessions::SESSIONS_PER_CALLER;
pub use shared_sessions::{SESSION_IDLE, SharedSessions};

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;
use portcullis_common::audit::AuditTrail;
use portcullis_common::clock::{SharedClock, SystemClock};
use portcullis_common::config::{Config, IssuerConfig, ResourceConfig};
use portcullis_common::fetch::{FetcherError, HttpFetcher, SharedFetcher};
use portcullis_common::jwks::{JwksCache, KeySource, PublishedKeys, SharedKeys};
use portcullis_common::metrics::{self, SharedMetrics};
use portcullis_common::redis::SharedRedis;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::{Scope, ScopeHierarchy};
use portcullis_common::token::{TokenError, TokenVerifier, VerifiedAccessToken, VerifierSettings};

use body::BodyRules;
use places::Places;
use sessions::Sessions;

/// The guard of one protected resource. Cloning shares everything.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identifier: ResourceIndicator,
    challenge_scopes: Scope,
    hierarchy: ScopeHierarchy,
    places: Places,
    body: BodyRules,
    verifier: TokenVerifier,
    sessions: Sessions,
    metrics: SharedMetrics,
    audit: AuditTrail,
    policy: Box<dyn OperationPolicy>,
}

/// What a guard is built from beside its configuration.
#[derive(Debug)]
pub struct GuardParts {
    /// Which scope implies which.
    pub hierarchy: ScopeHierarchy,
    /// The clock.
    pub clock: SharedClock,
    /// How keys of issuers are fetched.
    pub fetcher: SharedFetcher,
    /// Where refusals are counted.
    pub metrics: SharedMetrics,
    /// What replicas share, where there are several.
    pub redis: Option<SharedRedis>,
    /// Where refusals are recorded.
    pub audit: AuditTrail,
    /// What each operation takes.
    pub policy: Box<dyn OperationPolicy>,
}

impl Guard {
    /// Builds the guard; nothing is fetched yet.
    pub fn new(config: &ResourceConfig, parts: GuardParts) -> Self {
        let issuers = config.authorization_servers.iter().map(|issuer| {
            let clock = Arc::clone(&parts.clock);
            let source = key_source(issuer, config, &parts);
            let keys = JwksCache::new(issuer.issuer.clone(), config.jwks, source, clock);
            (issuer.clone(), keys)
        });
        let verifier = TokenVerifier::new(VerifierSettings {
            audience: config.identifier.clone(),
            leeway: config.leeway,
            issuers: issuers.collect(),
            clock: Arc::clone(&parts.clock),
        });
        Self(Arc::new(Inner {
            identifier: config.identifier.clone(),
            challenge_scopes: config.challenge_scopes.clone(),
            hierarchy: parts.hierarchy,
            places: Places::new(config),
            body: BodyRules {
                max_bytes: config.max_body,
            },
            verifier,
            sessions: Sessions::new(parts.redis.map(SharedSessions::new), parts.clock),
            metrics: parts.metrics,
            audit: parts.audit,
            policy: parts.policy,
        }))
    }

    /// The guard of a server that has nothing else to hand in: the clock of the system, and keys
    /// fetched over HTTP.
    pub fn of_system(config: &Config, policy: impl OperationPolicy) -> Result<Self, FetcherError> {
        let fetcher = HttpFetcher::new(config.outbound.ca_file.as_deref())?;
        let metrics = SharedMetrics::default();
        let redis = SharedRedis::of(config, Arc::clone(&metrics))
            .map_err(|error| FetcherError::Tls(error.to_string()))?;
        Ok(Self::new(
            &config.resource,
            GuardParts {
                hierarchy: config.scopes.clone(),
                clock: Arc::new(SystemClock),
                fetcher: Arc::new(fetcher),
                metrics,
                redis,
                audit: AuditTrail::off(),
                policy: Box::new(policy),
            },
        ))
    }

    /// The layer that puts this guard in front of a service that speaks MCP.
    pub fn mcp_layer(&self) -> GuardLayer {
        GuardLayer::new(self.clone(), Surface::Mcp)
    }

    /// The layer that puts this guard in front of a plain HTTP view of the same operations.
    pub fn rest_layer(&self, operation_of: OperationOf) -> GuardLayer {
        GuardLayer::new(self.clone(), Surface::Rest(operation_of))
    }

    /// The identifier of the resource it protects.
    pub fn identifier(&self) -> &ResourceIndicator {
        &self.0.identifier
    }

    /// The caches with the issuers' keys, for readiness and for the job that keeps them warm.
    pub fn keys(&self) -> impl Iterator<Item = &JwksCache> {
        self.0.verifier.issuers().map(|(_, keys)| keys)
    }

    /// The checks of a call, in their order. What comes out was permitted, and its request carries
    /// its [`Caller`]. A cheap check never waits behind a dear one.
    pub(crate) async fn admit<B>(
        &self,
        request: Request<B>,
        surface: Surface,
    ) -> Result<Permitted, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let (mut head, body) = request.into_parts();
        let guard = &*self.0;
        // 1. Host and Origin.
        guard.places.check(&head)?;
        // 2. Exactly one bearer token, in the header.
        let token = bearer::find(&head.headers)
            .map_err(|error| self.challenge(error))
            .inspect_err(|refusal| self.record_token_refusal(&head, refusal))?;
        // 3. Signature and claims.
        let verified = guard.verifier.verify(token).await;
        guard.metrics.token_validation(
            verified
                .as_ref()
                .map_or_else(TokenError::label, |_| metrics::VALID),
        );
        let token = verified
            .map_err(|error| self.token_refusal(&error))
            .inspect_err(|refusal| self.record_token_refusal(&head, refusal))?;
        let mut caller = Caller::new(&token, &head);
        // 4. Body size, one parse, repeated members refused.
        let body = guard.body.read(&head, body, surface).await?;
        // 5. The message, and headers that say what it says.
        let message = surface.message(&head, body.parse(surface)?)?;
        message.check_headers(&head.headers)?;
        caller.joins(head.extensions.get().copied(), message.trace());
        // 6. Sessions belong to the subject and client that began them.
        let operation = message.operation();
        guard
            .sessions
            .check(&mut head.headers, &message, &token)
            .await
            .inspect_err(|refusal| self.record_refusal(&caller, operation.as_ref(), refusal))?;
        // 7. The scopes of this very operation.
        if let Some(operation) = &operation {
            self.check_requirement(operation, &caller)
                .inspect_err(|refusal| self.record_refusal(&caller, Some(operation), refusal))?;
        }
        let lease = message
            .listens(&head.method)
            .then(|| guard.verifier.time_left(&token));
        // 8. Limits, argument schema, guards of content and dispatch belong to the inner service.
        head.extensions.insert(caller);
        if let Some(arguments) = message.into_arguments() {
            head.extensions.insert(ParsedBody(arguments));
        }
        let request = Request::from_parts(head, Body::new(Full::new(body.bytes)));
        Ok(Permitted {
            request,
            token,
            lease,
        })
    }

    /// MCP 2026-07-28 (authorization, scope challenge): a broader scope satisfies a narrower need,
    /// and one challenge names every scope that this operation needs.
    fn check_requirement(&self, operation: &Operation<'_>, caller: &Caller) -> Result<(), Refusal> {
        let requirement = self.0.policy.requirement(operation, caller);
        if !self
            .0
            .hierarchy
            .satisfies(&caller.scopes, &requirement.scopes)
        {
            tracing::info!(
                client.id = caller.client.as_deref(),
                method = operation.method,
                needed = %requirement.scopes,
                "refused: insufficient scope"
            );
            return Err(self.refuse(Challenge::insufficient_scope(
                requirement.into_owned().scopes,
            )));
        }
        // RFC 9700 §4.15: a client's own token must not pass for a person's.
        if requirement.needs_user && caller.principal == Principal::Client {
            return Err(Refusal::needs_user());
        }
        Ok(())
    }

    fn refuse(&self, challenge: Challenge) -> Refusal {
        Refusal::Challenge(challenge.at(&self.0.identifier))
    }

    fn challenge(&self, error: bearer::BearerError) -> Refusal {
        self.refuse(match error {
            bearer::BearerError::Absent => Challenge::no_token(self.0.challenge_scopes.clone()),
            bearer::BearerError::Several => Challenge::invalid_request(),
        })
    }

    fn token_refusal(&self, error: &TokenError) -> Refusal {
        if let TokenError::KeysUnavailable(issuer) = error {
            tracing::error!(%issuer, "refused for now: no key of the issuer is available");
            return Refusal::KeysUnavailable;
        }
        tracing::info!(cause = %error, "refused: invalid token");
        self.refuse(Challenge::invalid_token(
            error,
            self.0.challenge_scopes.clone(),
        ))
    }

    /// Counts a refusal.
    pub(crate) fn note_refusal(&self, refusal: &Refusal) {
        self.0.metrics.refusal(refusal.label());
    }

    /// Remembers who began the session that the inner service has just opened, if it has.
    pub(crate) async fn note_answer(&self, token: &VerifiedAccessToken, answer: &HeaderMap) {
        if answer.contains_key(&sessions::SESSION) {
            self.0.sessions.note(token, answer).await;
        }
    }
}

/// A request that passed every check, and the token it came with.
pub(crate) struct Permitted {
    pub(crate) request: Request<Body>,
    pub(crate) token: Arc<VerifiedAccessToken>,
    /// How long its answer may last, where that is as long as the reader likes.
    pub(crate) lease: Option<Duration>,
}

/// Where the keys of an issuer come from.
fn key_source(
    issuer: &IssuerConfig,
    config: &ResourceConfig,
    parts: &GuardParts,
) -> Box<dyn KeySource> {
    let fetcher = Arc::clone(&parts.fetcher);
    let own = PublishedKeys::new(issuer.clone(), fetcher, config.jwks.timeout);
    match parts.redis.clone() {
        None => Box::new(own),
        Some(redis) => {
            let cache = (config.jwks, Arc::clone(&parts.clock));
            Box::new(SharedKeys::new(own, &issuer.issuer, redis, cache))
        }
    }
}
