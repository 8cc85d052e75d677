//! Whose certificate stands behind a request (RFC 8705 §2.1).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::client_address::is_trusted;
use crate::distinguished_name::DistinguishedName;

/// Why two texts do not name the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "name two different headers, first that with SUCCESS, then that with the subject, such as \
     X-Client-Certificate-Verified and X-Client-Certificate-Subject"
)]
pub struct CertificateHeadersError;

/// The headers in which a front says whose certificate it saw.
///
/// A front that passes them on from outside would let anybody be any client, so they have no names
/// unless the operator gives them some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateHeaders {
    /// What the front thinks of the certificate; `SUCCESS` is the one good word.
    pub verdict: HeaderName,
    /// The subject, in the form of RFC 4514.
    pub subject: HeaderName,
}

impl CertificateHeaders {
    /// Reads the two names.
    pub fn parse(names: &[String]) -> Result<Self, CertificateHeadersError> {
        let [verdict, subject] = names else {
            return Err(CertificateHeadersError);
        };
        let name = |text: &String| text.parse().map_err(|_| CertificateHeadersError);
        let (verdict, subject) = (name(verdict)?, name(subject)?);
        if verdict == subject {
            return Err(CertificateHeadersError);
        }
        Ok(Self { verdict, subject })
    }
}

/// Whose word counts beside our own handshake.
#[derive(Clone, Copy, Debug)]
pub struct Fronts<'a> {
    /// `[server] trusted_proxies`
    pub trusted: &'a [IpNet],
    /// `[server] client_certificate_headers`; `None` means that no front speaks of certificates.
    pub headers: Option<&'a CertificateHeaders>,
}

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
    /// Of a trusted proxy it is the one that the configured headers name, or none, and never the
    /// proxy's own. Of any other peer it is the one of the handshake, and the headers are the peer's
    /// own invention.
    pub fn of_request(
        peer: IpAddr,
        headers: &HeaderMap,
        fronts: Fronts<'_>,
        handshake: Option<Self>,
    ) -> Option<Self> {
        if !is_trusted(peer, fronts.trusted) {
            return handshake;
        }
        let names = fronts.headers?;
        if only(headers, &names.verdict)? != "SUCCESS" {
            return None;
        }
        let subject = DistinguishedName::parse(only(headers, &names.subject)?).ok()?;
        Some(Self(subject))
    }

    /// The subject.
    pub const fn subject(&self) -> &DistinguishedName {
        &self.0
    }
}

/// The value of a header that came once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
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
    const VERDICT: &str = "x-client-certificate-verified";
    const SUBJECT: &str = "x-client-certificate-subject";

    fn subject(text: &str) -> VerifiedClientCertificate {
        VerifiedClientCertificate::of_handshake(DistinguishedName::parse(text).unwrap())
    }

    fn names(texts: &[&str]) -> Result<CertificateHeaders, CertificateHeadersError> {
        CertificateHeaders::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// What counts of these headers, beside a certificate of the handshake.
    fn counts(peer: &str, lines: &[(&'static str, &str)]) -> Option<VerifiedClientCertificate> {
        let configured = names(&["X-Client-Certificate-Verified", SUBJECT]).unwrap();
        counts_where(Some(&configured), peer, lines)
    }

    fn counts_where(
        configured: Option<&CertificateHeaders>,
        peer: &str,
        lines: &[(&'static str, &str)],
    ) -> Option<VerifiedClientCertificate> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let handshake = Some(subject("CN=handshake"));
        let peer = peer.parse().unwrap();
        let fronts = Fronts {
            trusted: &trusted,
            headers: configured,
        };
        VerifiedClientCertificate::of_request(peer, &headers, fronts, handshake)
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
    fn no_header_counts_until_it_is_named_and_then_that_one_alone() {
        let lines = [(VERDICT, "SUCCESS"), (SUBJECT, "CN=agent")];
        assert_eq!(counts_where(None, PROXY, &lines), None);
        let other = names(&["ssl-client-verify", "ssl-client-subject-dn"]).unwrap();
        assert_eq!(counts_where(Some(&other), PROXY, &lines), None);
        let lines = [
            ("ssl-client-verify", "SUCCESS"),
            ("ssl-client-subject-dn", "CN=agent"),
        ];
        let counted = counts_where(Some(&other), PROXY, &lines);
        assert_eq!(counted, Some(subject("CN=agent")));
    }

    #[test]
    fn two_different_names_are_needed() {
        for wrong in [
            &[][..],
            &["a"],
            &["a", "A"],
            &["a", "b c"],
            &["a", ""],
            &["a", "b", "c"],
        ] {
            assert_eq!(names(wrong), Err(CertificateHeadersError), "{wrong:?}");
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
