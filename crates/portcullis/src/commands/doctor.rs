//! `portcullis doctor`

use std::path::Path;
use std::sync::Arc;

use portcullis_common::clock::SystemClock;
use portcullis_common::config::{Config, Role};
use portcullis_common::entropy::SystemEntropy;
use portcullis_common::fetch::HttpFetcher;
use portcullis_common::issuer::is_loopback_host;
use portcullis_common::secret::ClientSecret;
use serde_json::Value;
use url::Url;

use super::token::secret_in;
use super::{Context, Failure, Sentence};
use crate::cli::Doctor;
use crate::doctor::{Finding, KnownClient, Login, Patient, Probe, Report, Severity, examine};
use crate::output::Output;

pub(super) async fn run(context: Context<'_>, options: Doctor) -> Result<(), Failure> {
    let config = configuration(context, &options)?;
    let output = *context.output;
    let patient = patient(&options, config.as_ref(), output)?;
    let is_quiet = options.json;
    let listener = move |finding: &Finding| tell(output, is_quiet, finding);
    let mut report = Report::new(&listener);
    let probe = probe(&options, &patient, config.as_ref())?;
    if output.logs_to_terminal() {
        output.note(format_args!("examining {}", patient.text));
    }
    examine(&probe, &patient, &mut report).await;
    if options.json {
        let findings = report.findings().iter().map(Finding::to_json);
        output.json(&Value::Array(findings.collect()));
    } else {
        sum_up(output, &report);
    }
    match report.count(Severity::Error) {
        0 => Ok(()),
        1 => Err(Sentence::failure("one rule is broken")),
        number => Err(Sentence::failure(format!("{number} rules are broken"))),
    }
}

/// The configuration gives the URL and the authorities. Beside a URL it is only needed where it was
/// named: a server elsewhere has nothing to do with the folder one stands in.
fn configuration(context: Context<'_>, options: &Doctor) -> Result<Option<Config>, Failure> {
    match context.config(Role::Both) {
        Ok(config) => Ok(Some(config)),
        Err(_) if options.url.is_some() && context.file.is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

fn patient(options: &Doctor, config: Option<&Config>, output: Output) -> Result<Patient, Failure> {
    let own = config.map(|config| config.resource.identifier.as_str());
    let (text, url) = match (&options.url, own) {
        // Url prints a bare origin with a slash, which no identifier has.
        (Some(url), _) if url.path() == "/" && url.query().is_none() => {
            (url.as_str().trim_end_matches('/').to_owned(), url.clone())
        }
        (Some(url), _) => (url.as_str().to_owned(), url.clone()),
        (None, Some(own)) => (own.to_owned(), Url::parse(own)?),
        (None, None) => return Err(Sentence::failure("name the URL of an MCP server")),
    };
    let secret = options
        .client_secret_file
        .as_deref()
        .map(secret_in)
        .transpose()?;
    let client = options.client_id.clone().map(|id| KnownClient {
        id,
        secret: secret.map(ClientSecret::new),
    });
    Ok(Patient {
        text,
        url,
        client,
        redirect_uri: options.redirect_uri.clone(),
        may_register: !options.no_register,
        // Standard output is for what is found.
        login: options.login.map(|wait| Login {
            wait,
            show: Box::new(move |url: &str| {
                output.note(format_args!("log in with a browser on this machine: {url}"));
            }),
        }),
    })
}

fn probe(options: &Doctor, patient: &Patient, config: Option<&Config>) -> Result<Probe, Failure> {
    let configured = config.and_then(|config| config.outbound.ca_file.as_deref());
    let ca_file: Option<&Path> = options.ca_file.as_deref().or(configured);
    Ok(Probe {
        fetcher: HttpFetcher::new(ca_file)?,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        origin: options.origin.clone(),
        is_local: is_loopback_host(&patient.url),
        own_origin: patient.url.origin().ascii_serialization(),
    })
}

/// One line per check, as it is done: that is the progress too. For programs only what is wrong is
/// told on the way, and only to a person who watches.
fn tell(output: Output, is_quiet: bool, finding: &Finding) {
    let mark = match finding.severity {
        Severity::Ok => " ok  ",
        Severity::Skipped => "  -  ",
        Severity::Warning => "warn ",
        Severity::Error => "ERROR",
    };
    let line = format!("{mark} {:<30} {}", finding.rule.id, finding.rule.check);
    if !is_quiet {
        output.line(line);
    } else if output.logs_to_terminal() {
        output.note(line);
    }
}

/// What is to be mended, the worst first, and the figures.
fn sum_up(output: Output, report: &Report<'_>) {
    for severity in [Severity::Error, Severity::Warning] {
        for finding in report
            .findings()
            .iter()
            .filter(|finding| finding.severity == severity)
        {
            output.line("");
            output.line(format_args!(
                "{}: {} ({})",
                severity.word(),
                finding.rule.id,
                finding.rule.section
            ));
            output.line(format_args!("  rule: {}", finding.rule.check));
            output.line(format_args!("  seen: {}", finding.seen));
            output.line(format_args!("  mend: {}", finding.rule.mend));
        }
    }
    let unseen = report
        .findings()
        .iter()
        .filter(|finding| finding.severity == Severity::Skipped);
    for (number, finding) in unseen.enumerate() {
        if number == 0 {
            output.line("");
            output.line("Not seen:");
        }
        output.line(format_args!("  {}: {}", finding.rule.id, finding.seen));
    }
    output.line("");
    let count = |severity| report.count(severity);
    output.line(format_args!(
        "checks: {}, ok: {}, warnings: {}, errors: {}, not seen: {}",
        report.findings().len(),
        count(Severity::Ok),
        count(Severity::Warning),
        count(Severity::Error),
        count(Severity::Skipped),
    ));
}
