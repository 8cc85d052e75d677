//! Records in the making.

use std::fmt::Display;
use std::net::IpAddr;

use http::Extensions;

use super::record::{Actor, AuditRecord, Event, Outcome, UNFINISHED, cut};
use super::trail::AuditTrail;
use crate::client_address::ClientAddress;
use crate::correlation::CorrelationId;

/// A record in the making. Whatever happens to what it is about, it becomes one record when it is
/// dropped: where nobody said how it ended (the peer hung up, our store was away), it is unfinished.
///
/// Without a trail every method does nothing.
#[derive(Debug)]
#[must_use = "a draft that is dropped at once is an unfinished record"]
pub struct Draft {
    trail: AuditTrail,
    record: AuditRecord,
}

impl Draft {
    pub(super) const fn new(trail: AuditTrail, event: Event) -> Self {
        Self {
            trail,
            record: AuditRecord::new(event),
        }
    }

    const fn is_on(&self) -> bool {
        self.trail.is_on()
    }

    fn text(&self, text: &str) -> Option<Box<str>> {
        self.is_on().then(|| cut(text))
    }

    /// Takes source and correlation id of a request, as the front of the process knows them.
    pub fn of_request(mut self, extensions: &Extensions) -> Self {
        if self.is_on() {
            let source = extensions.get::<ClientAddress>();
            self.record.source = source.map(|source| source.0);
            let correlation = extensions.get::<CorrelationId>();
            self.record.correlation = correlation.map(|id| id.as_str().into());
        }
        self
    }

    /// Takes source and correlation id where there is no request any more.
    pub fn from(mut self, source: Option<IpAddr>, correlation: &str) -> Self {
        self.record.source = source;
        self.record.correlation = self.text(correlation).filter(|id| !id.is_empty());
        self
    }

    /// Says who acted.
    pub fn by(mut self, actor: Actor) -> Self {
        self.record.actor = actor;
        self
    }

    /// It is another event than it seemed.
    pub const fn event(&mut self, event: Event) -> &mut Self {
        self.record.event = event;
        self
    }

    /// Names who acted, once they proved it.
    pub const fn actor(&mut self, actor: Actor) -> &mut Self {
        self.record.actor = actor;
        self
    }

    /// Names the client.
    pub fn client(&mut self, id: &str) -> &mut Self {
        self.record.client = self.text(id);
        self
    }

    /// Names the subject: the id of an account, or what a token says.
    pub fn subject(&mut self, id: &str) -> &mut Self {
        self.record.subject = self.text(id);
        self
    }

    /// Names the account for people. Never what somebody entered, only what the store has.
    pub fn username(&mut self, name: &str) -> &mut Self {
        self.record.username = self.text(name);
        self
    }

    /// Names the issuer of the subject, where it is not our own.
    pub fn issuer(&mut self, issuer: &str) -> &mut Self {
        self.record.issuer = self.text(issuer);
        self
    }

    /// Names what it was about: a resource, a tool, a key, a client, an account.
    pub fn target(&mut self, target: &str) -> &mut Self {
        self.record.target = self.text(target);
        self
    }

    /// Names the grant type.
    pub const fn grant_type(&mut self, grant_type: &'static str) -> &mut Self {
        self.record.grant_type = Some(grant_type);
        self
    }

    /// Names the scope.
    pub fn scope(&mut self, scope: &impl Display) -> &mut Self {
        if self.is_on() {
            self.record.scope = self.text(&scope.to_string());
        }
        self
    }

    /// Names the grant.
    pub fn grant(&mut self, id: &str) -> &mut Self {
        self.record.grant = self.text(id);
        self
    }

    /// It was done.
    pub const fn succeed(&mut self) {
        self.record.outcome = Outcome::Ok;
    }

    /// It was refused, for this reason.
    pub const fn refuse(&mut self, reason: &'static str) {
        self.record.outcome = Outcome::Refused(reason);
    }

    /// It was permitted and ended otherwise.
    pub const fn fail(&mut self, reason: &'static str) {
        self.record.outcome = Outcome::Failed(reason);
    }

    /// Whether nobody has said yet how it ended.
    pub fn is_unfinished(&self) -> bool {
        self.record.outcome == UNFINISHED
    }

    /// The beginning of a record of something else that happened in the same moment, to the same.
    pub fn beside(&self, event: Event) -> Self {
        Self {
            trail: self.trail.clone(),
            record: AuditRecord {
                event,
                ..self.record.clone()
            },
        }
    }

    /// Makes it no record.
    pub fn discard(mut self) {
        self.trail = AuditTrail::off();
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.is_on() {
            let nothing = AuditRecord::new(self.record.event);
            self.trail
                .push(std::mem::replace(&mut self.record, nothing));
        }
    }
}
