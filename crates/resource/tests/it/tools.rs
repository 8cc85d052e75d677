//! Each tool: what it answers, its boundary values, and what it says of wrong arguments.

use portcullis_resource::mcp::CallOutcome;
use serde_json::{Value, json};

use crate::bench::{Bench, NOW, person};

/// The answer of a tool that must succeed.
async fn answer(tool: &str, arguments: Value) -> Value {
    let result = Bench::new().call(&person("ann"), tool, arguments).await;
    assert_ne!(result["isError"], true, "{result}");
    result["structuredContent"].clone()
}

/// Checks that the arguments are refused by their form, and that the field is named.
async fn refused(tool: &str, arguments: Value, field: &str) {
    let bench = Bench::new();
    let outcome = bench
        .registry
        .call(tool, arguments.clone(), &person("ann"))
        .await;
    let CallOutcome::InvalidArguments {
        field: named,
        message,
    } = outcome
    else {
        panic!("{tool} {arguments}: {outcome:?}");
    };
    assert_eq!(named, field, "{arguments}: {message}");
    let result = bench.call(&person("ann"), tool, arguments).await;
    assert_eq!(result["isError"], true);
    assert!(
        result["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains(field)
    );
}

/// Checks that the arguments are well formed but have no answer.
async fn failed(tool: &str, arguments: Value, field: &str) {
    let outcome = Bench::new()
        .registry
        .call(tool, arguments.clone(), &person("ann"))
        .await;
    let CallOutcome::Failed { field: named, .. } = outcome else {
        panic!("{tool} {arguments}: {outcome:?}");
    };
    assert_eq!(named.as_deref(), Some(field), "{arguments}");
}

#[tokio::test]
async fn echo_gives_back_and_counts() {
    let answer = answer("echo", json!({"message": "grüß Gott", "uppercase": true})).await;
    assert_eq!(
        answer,
        json!({
            "original": "grüß Gott",
            "echo": "GRÜSS GOTT",
            "timestamp": "2025-07-13T10:30:45Z",
            "metadata": {"length": 9, "words": 2, "uppercase_applied": true},
        })
    );
}

#[tokio::test]
async fn echo_takes_exactly_what_its_schema_says() {
    answer("echo", json!({"message": "x".repeat(10_000)})).await;
    refused("echo", json!({"message": "x".repeat(10_001)}), "message").await;
    refused("echo", json!({"message": ""}), "message").await;
    refused("echo", json!({"message": 1}), "message").await;
    refused("echo", json!({"message": null}), "message").await;
    refused("echo", json!({}), "message").await;
    refused(
        "echo",
        json!({"message": "a", "uppercase": "yes"}),
        "uppercase",
    )
    .await;
    refused("echo", json!({"message": "a", "shout": true}), "shout").await;
}

#[tokio::test]
async fn timestamp_tells_the_time_of_the_clock_in_any_zone() {
    let arguments = json!({"timezone": "Europe/Berlin", "include_epoch": true, "relative": true});
    assert_eq!(
        answer("timestamp", arguments).await,
        json!({
            "timestamp": "2025-07-13 12:30:45 CEST",
            "iso8601": "2025-07-13T12:30:45+02:00",
            "timezone": "Europe/Berlin",
            "epoch": NOW,
            "relative": "just now",
        })
    );
    assert_eq!(
        answer("timestamp", json!({"format": "%d.%m.%Y"})).await,
        json!({
            "timestamp": "13.07.2025",
            "iso8601": "2025-07-13T10:30:45+00:00",
            "timezone": "UTC",
        })
    );
}

#[tokio::test]
async fn timestamp_names_the_field_that_makes_no_sense() {
    failed(
        "timestamp",
        json!({"timezone": "Europe/Atlantis"}),
        "timezone",
    )
    .await;
    failed("timestamp", json!({"timezone": "/etc/passwd"}), "timezone").await;
}

#[tokio::test]
async fn timestamp_refuses_broken_formats_and_bounds_their_length() {
    failed("timestamp", json!({"format": "%!"}), "format").await;
    refused("timestamp", json!({"format": "x".repeat(101)}), "format").await;
    refused("timestamp", json!({"format": ""}), "format").await;
    refused(
        "timestamp",
        json!({"timezone": "Europe/Berlin\n"}),
        "timezone",
    )
    .await;
}

#[tokio::test]
async fn a_format_of_wide_paddings_stays_short() {
    let format = "%255d".repeat(20);
    let answer = answer("timestamp", json!({"format": format})).await;
    assert!(answer["timestamp"].as_str().unwrap().len() <= 20 * 255);
}

#[tokio::test]
async fn calculate_answers_with_its_formula() {
    assert_eq!(
        answer(
            "calculate",
            json!({"operation": "add", "operands": [10, 20, 30]})
        )
        .await,
        json!({
            "operation": "add",
            "operands": [10, 20, 30],
            "result": 60,
            "formula": "10 + 20 + 30 = 60",
            "precision_applied": 10,
        })
    );
    let third = json!({"operation": "divide", "operands": [1, 3], "precision": 2});
    assert_eq!(answer("calculate", third).await["result"], json!(0.33));
}

#[tokio::test]
async fn calculate_takes_exactly_what_its_schema_says() {
    let with = |operands: Value| json!({"operation": "add", "operands": operands});
    answer("calculate", with(json!(vec![1; 100]))).await;
    answer("calculate", with(json!([1e15, -1e15]))).await;
    refused("calculate", with(json!(vec![1; 101])), "operands").await;
    refused("calculate", with(json!([])), "operands").await;
    refused("calculate", with(json!([1, 1.1e15])), "operands[1]").await;
    refused("calculate", with(json!(["1"])), "operands[0]").await;
    refused(
        "calculate",
        json!({"operation": "modulo", "operands": [1]}),
        "operation",
    )
    .await;
    refused("calculate", json!({"operands": [1]}), "operation").await;
    let precise =
        |precision: i32| json!({"operation": "add", "operands": [1], "precision": precision});
    answer("calculate", precise(15)).await;
    refused("calculate", precise(16), "precision").await;
    refused("calculate", precise(-1), "precision").await;
    refused(
        "calculate",
        json!({"operation": "sqrt", "operands": [1, 2]}),
        "operands",
    )
    .await;
}

#[tokio::test]
async fn what_has_no_result_fails_at_once() {
    for (operation, operands) in [
        ("divide", json!([1, 0])),
        ("factorial", json!([200_000])),
        ("power", json!([1e15, 1e15])),
        ("sqrt", json!([-1])),
    ] {
        let arguments = json!({"operation": operation, "operands": operands});
        failed("calculate", arguments, "operands").await;
    }
}

#[tokio::test]
async fn notes_are_seen_by_nobody_else() {
    let bench = Bench::new();
    let (ann, bob) = (person("ann"), person("bob"));
    let mut other_issuer = person("ann");
    other_issuer.issuer = "https://other.example".to_owned();
    let added = bench.call(&ann, "note_add", json!({"text": "milk"})).await;
    assert_eq!(
        added["structuredContent"],
        json!({
            "note": {"id": 1, "text": "milk", "created_at": "2025-07-13T10:30:45Z"},
            "total": 1,
        })
    );
    for (caller, total) in [(&ann, 1), (&bob, 0), (&other_issuer, 0)] {
        let list = bench.call(caller, "note_list", json!({})).await;
        assert_eq!(list["structuredContent"]["total"], total);
    }
}

#[tokio::test]
async fn notes_are_bounded_in_length_and_number() {
    refused("note_add", json!({"text": "x".repeat(501)}), "text").await;
    refused("note_add", json!({"text": " \n"}), "text").await;
    refused("note_list", json!({"all": true}), "all").await;
    let bench = Bench::new();
    let ann = person("ann");
    let text = "x".repeat(500);
    for _ in 0..50 {
        let added = bench.call(&ann, "note_add", json!({"text": text})).await;
        assert_ne!(added["isError"], true);
    }
    let refused = bench.call(&ann, "note_add", json!({"text": text})).await;
    assert_eq!(refused["isError"], true);
    let other = bench
        .call(&person("bob"), "note_add", json!({"text": text}))
        .await;
    assert_ne!(other["isError"], true);
}

#[tokio::test]
async fn only_so_many_people_can_keep_notes() {
    let bench = Bench::new();
    for number in 0..1000 {
        let subject = person(&format!("user-{number}"));
        let outcome = bench
            .registry
            .call("note_add", json!({"text": "a"}), &subject)
            .await;
        assert!(matches!(outcome, CallOutcome::Done(_)));
    }
    let late = bench
        .registry
        .call("note_add", json!({"text": "a"}), &person("late"))
        .await;
    assert!(
        matches!(late, CallOutcome::Failed { field: None, .. }),
        "{late:?}"
    );
}
