//! The token endpoint, as one client uses it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_common::secret::ClientSecret;
use url::form_urlencoded;

use super::discovery::Server;
use super::probe::{Asked, Probe};

/// One client at one token endpoint.
pub(super) struct Counter<'a> {
    probe: &'a Probe,
    url: &'a str,
    id: &'a str,
    /// A public client has none.
    secret: Option<&'a ClientSecret>,
    in_header: bool,
}

impl<'a> Counter<'a> {
    /// The counter of this client; `None` where no token endpoint may be asked.
    pub(super) fn find(
        probe: &'a Probe,
        server: &'a Server,
        id: &'a str,
        secret: Option<&'a ClientSecret>,
    ) -> Option<Self> {
        let url = server.metadata.text("token_endpoint")?;
        let methods = server
            .metadata
            .list("token_endpoint_auth_methods_supported");
        probe.permits(url).then_some(Self {
            probe,
            url,
            id,
            secret,
            in_header: methods.is_none_or(|list| list.contains(&"client_secret_basic")),
        })
    }

    /// Whether anybody could be this client.
    pub(super) const fn is_public(&self) -> bool {
        self.secret.is_none()
    }

    /// Sends a form as this client.
    pub(super) async fn ask(&self, form: &[(&str, &str)]) -> Asked {
        self.ask_at(self.url, form).await
    }

    /// Sends a form as this client to another endpoint of the same server.
    pub(super) async fn ask_at(&self, url: &str, form: &[(&str, &str)]) -> Asked {
        let mut form = form.to_vec();
        if let Some(secret) = self.secret.filter(|_| self.in_header) {
            // RFC 6749 §2.3.1: both parts are encoded before they are joined.
            let part =
                |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", part(self.id), part(secret.expose()));
            let header = format!("Basic {}", STANDARD.encode(pair));
            let headers = [("authorization", header.as_str())];
            return self.probe.post_form(url, &form, &headers).await;
        }
        form.push(("client_id", self.id));
        form.extend(self.secret.map(|secret| ("client_secret", secret.expose())));
        self.probe.post_form(url, &form, &[]).await
    }
}
