//! `portcullis token`: client credentials, found by discovery, as any client would.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{ClientId, ClientSecret, Scope, TokenResponse as _, TokenUrl};
use portcullis_common::config::Role;
use portcullis_common::fetch::{FetchRequest, Fetcher as _, HttpFetcher};
use portcullis_common::issuer::Issuer;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::strict_json;
use serde_json::{Map, Value};

use super::{Context, Failure, Sentence};
use crate::cli::Token;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_DOCUMENT: usize = 64 * 1024;
/// Where the secret stands when no file is named.
const SECRET_VARIABLE: &str = "PORTCULLIS_CLIENT_SECRET";

pub(super) async fn run(context: Context<'_>, options: Token) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    let resource = match &options.resource {
        Some(text) => ResourceIndicator::parse(text)?,
        None => config.resource.identifier.clone(),
    };
    let secret = secret(context, options.client_secret_file.as_deref())?;
    let fetcher = HttpFetcher::new(config.outbound.ca_file.as_deref())?;
    let token_endpoint = token_endpoint(&fetcher, &resource).await?;
    let client = BasicClient::new(ClientId::new(options.client_id))
        .set_client_secret(ClientSecret::new(secret))
        .set_token_uri(TokenUrl::new(token_endpoint)?);
    // RFC 8707 §2: the token says for which resource it is.
    let mut request = client
        .exchange_client_credentials()
        .add_extra_param("resource", resource.as_str());
    for scope in options
        .scope
        .iter()
        .flat_map(|text| text.split_whitespace())
    {
        request = request.add_scope(Scope::new(scope.to_owned()));
    }
    let send =
        async |request: oauth2::HttpRequest| fetcher.send(request, TIMEOUT, MAX_DOCUMENT).await;
    let answer = request
        .request_async(&|request| send(request))
        .await
        .map_err(explain)?;
    if options.json {
        context.output.json(&serde_json::to_value(&answer)?);
    } else {
        context.output.line(answer.access_token().secret());
    }
    Ok(())
}

fn explain<E: std::error::Error + 'static>(
    error: oauth2::RequestTokenError<E, oauth2::basic::BasicErrorResponse>,
) -> Failure {
    match error {
        oauth2::RequestTokenError::ServerResponse(answer) => {
            Sentence::failure(format!("the authorization server refused: {answer}"))
        }
        other => Sentence::failure(format!("no token: {other}")),
    }
}

/// The secret: from the file, from standard input for `-`, else from the environment.
fn secret(context: Context<'_>, file: Option<&Path>) -> Result<String, Failure> {
    let text = match file {
        Some(path) => return secret_in(path),
        None => context
            .environment
            .find(SECRET_VARIABLE)
            .map(str::to_owned)
            .ok_or_else(|| {
                Sentence::failure(format!(
                    "set {SECRET_VARIABLE}, or name a --client-secret-file"
                ))
            })?,
    };
    Ok(text.trim().to_owned())
}

/// The secret in a file, or on standard input for `-`.
pub(super) fn secret_in(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().take(4096).read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path)
            .map_err(|error| Sentence::failure(format!("{}: {error}", path.display())))?
    };
    Ok(text.trim().to_owned())
}

/// From the resource to its issuer to the token endpoint (RFC 9728 §3, RFC 8414 §3).
async fn token_endpoint(
    fetcher: &HttpFetcher,
    resource: &ResourceIndicator,
) -> Result<String, Failure> {
    let metadata = document(fetcher, &resource.metadata_url()).await?;
    let issuer = metadata
        .get("authorization_servers")
        .and_then(|servers| servers.get(0))
        .and_then(Value::as_str)
        .ok_or_else(|| Sentence::failure(format!("{resource} names no authorization server")))?;
    let issuer = Issuer::parse(issuer)?;
    let mut last = None;
    for url in issuer.metadata_urls() {
        match document(fetcher, &url).await {
            Ok(metadata) => return endpoint_of(&issuer, &url, &metadata),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Sentence::failure(format!("{issuer} has no metadata"))))
}

/// RFC 8414 §3.3: metadata of another issuer must not be used.
fn endpoint_of(
    issuer: &Issuer,
    url: &str,
    metadata: &Map<String, Value>,
) -> Result<String, Failure> {
    let member = |name: &str| metadata.get(name).and_then(Value::as_str);
    if member("issuer") != Some(issuer.as_str()) {
        return Err(Sentence::failure(format!(
            "the metadata at {url} is not that of {issuer}"
        )));
    }
    member("token_endpoint")
        .map(str::to_owned)
        .ok_or_else(|| Sentence::failure(format!("the metadata at {url} names no token endpoint")))
}

async fn document(fetcher: &HttpFetcher, url: &str) -> Result<Map<String, Value>, Failure> {
    let request = FetchRequest {
        url,
        timeout: TIMEOUT,
        limit: MAX_DOCUMENT,
    };
    let body = fetcher.fetch(request).await?;
    strict_json::parse_object(&body).map_err(|error| Sentence::failure(format!("{url}: {error}")))
}
