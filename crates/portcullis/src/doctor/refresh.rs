//! Refresh tokens (OAuth 2.1 §4.3), from their first use to their replay.

use super::Patient;
use super::counter::Counter;
use super::login::Tokens;
use super::probe::{Asked, summary};
use super::report::{Report, Severity};
use super::rule::{self, Rule};

/// Uses a refresh token, and uses it again. The refresh token that is left in the end.
pub(super) async fn check(
    counter: &Counter<'_>,
    patient: &Patient,
    first: Option<String>,
    report: &mut Report<'_>,
) -> Option<String> {
    let Some(first) = first else {
        report.warn(rule::REFRESH_TOKEN, "no refresh_token in the answer");
        return None;
    };
    report.ok(rule::REFRESH_TOKEN, "a refresh token came");
    // OAuth 2.1 §4.3.1: whoever steals the token of a public client can use it; of a confidential
    // one, only with its credentials.
    let otherwise = if counter.is_public() {
        Severity::Error
    } else {
        Severity::Warning
    };
    let asked = refresh(counter, patient, &first).await;
    let Some(answer) = Tokens::read(&asked, report) else {
        report.error(rule::REFRESH_ROTATION, summary(&asked));
        return Some(first);
    };
    let Some(second) = answer.refresh.filter(|second| *second != first) else {
        let seen = "no successor came; the token goes on";
        report.judge(rule::REFRESH_ROTATION, false, otherwise, seen);
        return Some(first);
    };
    report.ok(rule::REFRESH_ROTATION, "a successor came");
    let asked = refresh(counter, patient, &first).await;
    match Tokens::read(&asked, report) {
        None => judge_refusal(rule::REFRESH_REPLAY, &asked, report),
        // Whoever lost an answer asks again; that adds no second token to the family.
        Some(again) if again.refresh.as_ref() == Some(&second) => {
            report.ok(rule::REFRESH_REPLAY, "the same successor came again");
        }
        Some(_) => {
            let seen = "it was taken once more, and another answer came";
            report.judge(rule::REFRESH_REPLAY, false, otherwise, seen);
        }
    }
    Some(second)
}

async fn refresh(counter: &Counter<'_>, patient: &Patient, token: &str) -> Asked {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("resource", patient.text.as_str()),
    ];
    counter.ask(&form).await
}

/// OAuth 2.1 §3.2.4: what was used up is refused with `invalid_grant`.
pub(super) fn judge_refusal(rule: Rule, asked: &Asked, report: &mut Report<'_>) {
    let seen = summary(asked);
    match asked {
        Err(_) => report.skip(rule, seen),
        Ok(answer) if answer.error() == "invalid_grant" => report.ok(rule, seen),
        Ok(answer) if answer.status.is_client_error() => report.warn(rule, seen),
        Ok(_) => report.error(rule, seen),
    }
}
