//! What the audit trail learns of an error.

use portcullis_common::audit::Draft;

use super::OAuthError;

impl OAuthError {
    /// Says in a record how this ended, in the word that the peer gets; what our own parts kept from
    /// ending stays unfinished. A record that knows more already keeps it.
    pub(crate) fn noted_in(self, record: &mut Draft) -> Self {
        if !self.status.is_server_error() && record.is_unfinished() {
            record.refuse(self.code.wire().0);
        }
        self
    }
}
