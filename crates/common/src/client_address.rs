//! Who is at the other end of the connection.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The address by which requests are counted and logged: the peer's, or the client's where a
/// trusted proxy vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// Most hops of `X-Forwarded-For` that are looked at.
const MAX_HOPS: usize = 32;

impl ClientAddress {
    /// Reads `X-Forwarded-For` from right to left while the hops are trusted: the first address
    /// that is not ours is the client. What stands to its left was written by the client.
    ///
    /// A peer that is not trusted is the client, whatever its headers say.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        if !is_trusted(peer, trusted) {
            return Self(peer);
        }
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        let mut nearest = peer;
        for hop in hops.take(MAX_HOPS) {
            let Ok(address) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            nearest = address.to_canonical();
            if !is_trusted(nearest, trusted) {
                break;
            }
        }
        Self(nearest)
    }
}

/// Whether a peer is one of our proxies, whose word about its own peer counts.
pub(crate) fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, lines: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = [
            "10.0.0.0/8".parse().unwrap(),
            "127.0.0.1/32".parse().unwrap(),
        ];
        let found = ClientAddress::of(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(
            found.0,
            expected.parse::<IpAddr>().unwrap(),
            "{peer} {lines:?}"
        );
    }

    #[test]
    fn only_trusted_hops_are_believed() {
        check("203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check(
            "10.0.0.1",
            &["1.2.3.4, 198.51.100.1, 10.0.0.7"],
            "198.51.100.1",
        );
        check("10.0.0.1", &["1.2.3.4", "198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["1.2.3.4, nonsense"], "10.0.0.1");
        check("::ffff:127.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &[], "10.0.0.1");
    }
}
