//! A Redis in a container that the runner `with-containers` lends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

/// Names the socket where the runner lends them.
const DESK: &str = "PORTCULLIS_TEST_REDIS_CONTAINERS";

/// One loan; the container goes when this value does.
#[derive(Debug)]
pub(super) struct Lent(UnixStream);

impl Lent {
    /// Asks for a fresh one, and gives its address too; `None` if nobody lends any.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told by the environment where Redis is"
    )]
    pub(super) fn start() -> Option<(String, Self)> {
        let desk = std::env::var_os(DESK)?;
        let lent = Self(UnixStream::connect(desk).expect("the named runner answers"));
        let address = lent.answer();
        assert!(address.starts_with("127.0.0.1:"), "no container: {address}");
        Some((address, lent))
    }

    /// Has the runner do something to the container, and waits until it is done.
    pub(super) fn order(&self, order: &str) {
        writeln!(&self.0, "{order}").unwrap();
        assert_eq!(self.answer(), "ok", "{order}");
    }

    fn answer(&self) -> String {
        // Nothing follows the line before the next order, so nothing is lost with the buffer.
        let mut answer = String::new();
        BufReader::new(&self.0).read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}
