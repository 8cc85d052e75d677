//! What the audit trail learns of callers.

use http::request::Parts;
use portcullis_common::audit::{Actor, AuditTrail, Draft, Event};

use super::{Caller, Guard, Operation, Principal, Refusal};

impl Caller {
    /// Begins a record of something that this caller does.
    pub(crate) fn draft(&self, audit: &AuditTrail, event: Event) -> Draft {
        let mut record = audit.draft(event).from(self.source, &self.correlation_id);
        match self.principal {
            Principal::User => {
                record.actor(Actor::Subject).subject(&self.subject);
                if let Some(client) = &self.client {
                    record.client(client);
                }
            }
            Principal::Client => {
                let id = self.client.as_deref().unwrap_or(&self.subject);
                record.actor(Actor::Client).client(id);
            }
        }
        if let Some(grant) = &self.grant {
            record.grant(grant);
        }
        record.issuer(&self.issuer);
        record
    }
}

impl Guard {
    /// Records that a token was refused before anybody knew what it was for. Requests without a token
    /// are no record: every client begins with one, to be told where to get a token.
    pub(super) fn record_token_refusal(&self, head: &Parts, refusal: &Refusal) {
        if !self.0.audit.is_on() || !refusal.is_about_caller() {
            return;
        }
        let record = self.0.audit.draft(Event::Access);
        let mut record = record.of_request(&head.extensions);
        record.target(head.uri.path()).refuse(refusal.label());
    }

    /// Records that a caller whose token is good was refused this operation.
    pub(super) fn record_refusal(
        &self,
        caller: &Caller,
        operation: Option<&Operation<'_>>,
        refusal: &Refusal,
    ) {
        if !self.0.audit.is_on() || !refusal.is_about_caller() {
            return;
        }
        let tool = operation.filter(|operation| operation.method == "tools/call");
        let event = tool.map_or(Event::Access, |_| Event::ToolCall);
        let mut record = caller.draft(&self.0.audit, event);
        let target = match tool {
            Some(tool) => tool.name,
            None => operation.map(|operation| operation.method),
        };
        if let Some(target) = target {
            record.target(target);
        }
        record.refuse(refusal.label());
    }
}
