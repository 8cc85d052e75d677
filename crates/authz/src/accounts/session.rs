//! The session of a browser.

portcullis_common::secret! {
    /// The id of a browser session, which its cookie holds: 256 random bits, new at every login.
    SessionId => SessionHash
}

portcullis_common::secret! {
    /// The handle of an authorization request that waits for its person.
    RequestHandle => RequestHandleHash
}
