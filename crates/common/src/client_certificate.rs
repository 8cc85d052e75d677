//! Whose certificate stands behind a request (RFC 8705 §2.1).

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::client_address::is_trusted;
use crate::distinguished_name::DistinguishedName;

/// What a front thinks of the certificate of its peer; `SUCCESS` is the one good word.
const VERDICT: &str = "x-client-certificate-verified";
/// The subject of that certificate, in the form of RFC 4514.
const SUBJECT: &str = "x-client-certificate-subject";

/// The subject of a certificate that an authority of the operator issued and whose key the client
/// holds, as a handshake showed it: our own, or that of a trusted proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct VerifiedClientCertificate(DistinguishedName);

impl VerifiedClientCertificate {
    /// The subject of the certificate that a handshake of this process verified.
    pub const fn of_handshake(subject: DistinguishedName) -> Self {
        Self(subject)
    }

    /// The certificate that counts for a request.
    ///
    /// Of a trusted proxy it is the one that its headers name, and never the proxy's own. Of any
    /// other peer it is the one of the handshake, and the headers are the peer's own invention.
    pub fn of_request(
        peer: IpAddr,
        headers: &HeaderMap,
        trusted: &[IpNet],
        handshake: Option<Self>,
    ) -> Option<Self> {
        if !is_trusted(peer, trusted) {
            return handshake;
        }
        if only(headers, VERDICT)? != "SUCCESS" {
            return None;
        }
        let subject = DistinguishedName::parse(only(headers, SUBJECT)?).ok()?;
        Some(Self(subject))
    }

    /// The subject.
    pub const fn subject(&self) -> &DistinguishedName {
        &self.0
    }
}

/// The value of a header that came once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    // nginx writes what is beyond ASCII as it is.
    std::str::from_utf8(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn subject(text: &str) -> VerifiedClientCertificate {
        VerifiedClientCertificate::of_handshake(DistinguishedName::parse(text).unwrap())
    }

    /// What counts of these headers, beside a certificate of the handshake.
    fn counts(peer: &str, lines: &[(&'static str, &str)]) -> Option<VerifiedClientCertificate> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let handshake = Some(subject("CN=handshake"));
        let peer = peer.parse().unwrap();
        VerifiedClientCertificate::of_request(peer, &headers, &trusted, handshake)
    }

    #[test]
    fn the_headers_of_a_trusted_proxy_count_and_its_own_certificate_does_not() {
        let good = (VERDICT, "SUCCESS");
        let own = (SUBJECT, "CN=agent,O=Söhne");
        assert_eq!(
            counts(PROXY, &[good, own]),
            Some(subject("CN=agent,O=Söhne"))
        );
        assert_eq!(
            counts("::ffff:10.0.0.1", &[good, own]),
            Some(subject("CN=agent,O=Söhne"))
        );
        for lines in [
            &[][..],
            &[good],
            &[own],
            &[(VERDICT, "NONE"), own],
            &[(VERDICT, "FAILED:certificate has expired"), own],
            &[(VERDICT, "success"), own],
            &[(VERDICT, ""), own],
            &[good, good, own],
            &[good, own, own],
            &[good, (SUBJECT, "agent")],
            &[good, (SUBJECT, "")],
        ] {
            assert_eq!(counts(PROXY, lines), None, "{lines:?}");
        }
    }

    #[test]
    fn the_headers_of_anybody_else_are_not_looked_at() {
        let forged = [(VERDICT, "SUCCESS"), (SUBJECT, "CN=agent")];
        for peer in ["203.0.113.9", "11.0.0.1", "::1"] {
            assert_eq!(counts(peer, &forged), Some(subject("CN=handshake")));
        }
    }
}
