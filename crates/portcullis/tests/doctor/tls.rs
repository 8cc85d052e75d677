//! The same server over TLS.

use std::collections::BTreeSet;

use portcullis_common::clock::{Clock as _, SystemClock};
use portcullis_testkit::website::{Identity, TestAuthority};
use tokio::net::TcpListener;

use crate::model::Model;
use crate::{Diagnosis, doctor};

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

async fn examine(
    identity: Identity,
    authority: &str,
    change: impl FnOnce(&mut Model),
) -> Diagnosis {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let mut model = Model::new(&base);
    change(&mut model);
    model.serve(identity.listen(listener));
    doctor(&format!("{base}/mcp"), true, Some(authority)).await
}

fn check(diagnosis: &Diagnosis, complaints: &[&str]) {
    let expected: BTreeSet<String> = complaints.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(diagnosis.complaints(), expected, "{}", diagnosis.text);
}

#[tokio::test]
async fn a_healthy_server_over_tls_has_no_complaint() {
    let authority = TestAuthority::new("doctor");
    let diagnosis = examine(authority.certify(&NAMES), authority.pem(), |_| {}).await;
    check(&diagnosis, &[]);
    assert!(
        diagnosis.rules("ok").contains("tls-certificate"),
        "{}",
        diagnosis.text
    );
}

#[tokio::test]
async fn a_certificate_that_has_ended_or_is_of_nobody_or_for_another_name_is_an_error() {
    let (authority, stranger) = (TestAuthority::new("doctor"), TestAuthority::new("stranger"));
    for identity in [
        authority.certify_in_the_past(&NAMES),
        stranger.certify(&NAMES),
        authority.certify(&["mcp.example"]),
    ] {
        let diagnosis = examine(identity, authority.pem(), |_| {}).await;
        check(&diagnosis, &["error: tls-certificate"]);
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let authority = TestAuthority::new("doctor");
    let soon = SystemClock.now().seconds() + 5 * 86_400;
    let day = jiff::Timestamp::from_second(soon)
        .unwrap()
        .to_zoned(jiff::tz::TimeZone::UTC);
    let (month, of_month) = (day.month().cast_unsigned(), day.day().cast_unsigned());
    let identity = authority.certify_until(&NAMES, (day.year().into(), month, of_month));
    let diagnosis = examine(identity, authority.pem(), |_| {}).await;
    check(&diagnosis, &["warning: tls-certificate"]);
}

#[tokio::test]
async fn a_loopback_name_that_promises_https_is_a_warning() {
    let authority = TestAuthority::new("doctor");
    let identity = authority.certify(&NAMES);
    let promise = |model: &mut Model| {
        let year = "max-age=31536000".to_owned();
        model.post.headers.insert("strict-transport-security", year);
    };
    let diagnosis = examine(identity, authority.pem(), promise).await;
    check(&diagnosis, &["warning: tls-hsts"]);
}

#[tokio::test]
async fn metadata_that_leads_from_tls_back_to_plain_http_is_an_error() {
    let authority = TestAuthority::new("doctor");
    let identity = authority.certify(&NAMES);
    let plain = |model: &mut Model| {
        model.member(
            "authorization_endpoint",
            serde_json::json!("http://as.example/authorize"),
        );
    };
    let diagnosis = examine(identity, authority.pem(), plain).await;
    check(&diagnosis, &["error: metadata-https"]);
}
