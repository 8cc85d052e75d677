//! The pages people see: one struct for each, with only what it prints.
//!
//! All text is escaped by the templates. No page has script, and none loads anything: the style
//! stands in the page and is named by its digest in the content security policy.

use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The style of every page.
const STYLE: &str = include_str!("../../templates/portcullis.css");

/// The source by which a content security policy allows [`STYLE`] and no other.
pub(crate) fn style_source() -> &'static str {
    static SOURCE: LazyLock<String> = LazyLock::new(|| {
        let digest = digest::digest(&digest::SHA256, STYLE.as_bytes());
        format!("'sha256-{}'", STANDARD.encode(digest))
    });
    &SOURCE
}

/// The form to log in.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub(crate) struct LoginPage<'a> {
    /// The path of the issuer.
    pub(crate) base: &'a str,
    pub(crate) csrf: &'a str,
    /// The request that waits, if there is one, and the name of its client.
    pub(crate) handle: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
    /// What to fill in beforehand.
    pub(crate) username: &'a str,
    pub(crate) problem: Option<&'a str>,
}

/// The question whether a client may have what it asks for.
#[derive(Debug, Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage<'a> {
    pub(crate) base: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) handle: &'a str,
    pub(crate) client: &'a str,
    pub(crate) client_id: &'a str,
    /// The host of the document that describes the client, if one does.
    pub(crate) document_host: Option<&'a str>,
    /// Who vouches for the client, in a few words.
    pub(crate) standing: &'a str,
    pub(crate) is_unverified: bool,
    pub(crate) is_loopback: bool,
    pub(crate) redirect_host: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) resource_name: &'a str,
    pub(crate) account: &'a str,
    pub(crate) scopes: Vec<ScopeLine<'a>>,
}

/// One scope that is asked for.
#[derive(Debug)]
pub(crate) struct ScopeLine<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

/// Who is logged in, and the way out.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub(crate) struct AccountPage<'a> {
    pub(crate) base: &'a str,
    pub(crate) csrf: &'a str,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) account: &'a str,
}

/// Something that is only told.
#[derive(Debug, Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// What to do next; may be empty.
    pub(crate) next: &'a str,
    /// The id under which the request stands in the log.
    pub(crate) id: Option<&'a str>,
}

/// Prints a page. The templates print text alone, which cannot fail.
pub(crate) fn print(page: &impl Template) -> String {
    page.render().unwrap_or_default()
}
