//! No secret gets out: a whole life over the binary at its most talkative, and then a search for
//! every secret in every line, page, header, error, address, command and file.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod life;
mod search;
mod spans;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use portcullis_common::secret::SecretHash;
use portcullis_testkit::answer::Answer;
use portcullis_testkit::authz::FORM;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use life::{Life, PATIENCE};

/// What people chose; the rest is made by the server.
const PASSWORD: &str = "Xk7pQv2mRt9wLz4nBs6d";
const WRONG_PASSWORD: &str = "Wd3fGh8jKl1zXc5vBn0q";
const VERIFIER: &str = "vErIfIeR7aB9cD1eF3gH5iJ7kL9mN1oP3qR5sT7uV9w";
const WRONG_VERIFIER: &str = "wRoNgVeR2aB4cD6eF8gH0iJ2kL4mN6oP8qR0sT2uV4w";
const CALLBACK: &str = "https://app.example/cb";

fn authorize(client_id: &str, others: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(SecretHash::of(VERIFIER).as_bytes());
    let mut query = Serializer::new(String::new());
    query.extend_pairs([
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("state", "a-state"),
        ("code_challenge", challenge.as_str()),
        ("scope", "openid mcp:read offline_access"),
    ]);
    query.extend_pairs(others);
    format!("/authorize?{}", query.finish())
}

const S256: (&str, &str) = ("code_challenge_method", "S256");

/// A confidential client that registers itself, with every way to be refused first.
async fn registers(life: &mut Life) -> (String, String, String) {
    let invitation = life.runs(
        &["client", "invite", "--uses", "3", "--json"],
        "",
        Some("initial_access_token"),
    );
    let invitation = invitation["initial_access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let metadata = json!({
        "client_name": "App",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let metadata = metadata.to_string();
    let wrong = "inv1tat10nInv1tat10nInv1tat10nInv1tat10nXyz";
    life.keep("wrong invitation", wrong);
    for (what, token, body, status) in [
        ("wrong invitation", wrong, metadata.as_str(), 401),
        ("broken metadata", &invitation, "{", 400),
        (
            "refused metadata",
            &invitation,
            r#"{"redirect_uris":["javascript:x"]}"#,
            400,
        ),
    ] {
        let answer = life.bearer(what, "POST", "/register", token, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let answer = life
        .bearer("registers", "POST", "/register", &invitation, &metadata)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (
        text("client_id"),
        text("client_secret"),
        text("registration_access_token"),
    )
}

/// Logs in and approves, with every way to be refused on the way; gives the code.
async fn allows(life: &mut Life, client_id: &str) -> String {
    life.get("unknown client", &authorize("nobody", &[S256]))
        .await;
    life.get("no method", &authorize(client_id, &[])).await;
    let to_login = life
        .get("asks", &authorize(client_id, &[S256]))
        .await
        .location()
        .unwrap();
    let page = life.get("login page", &to_login).await;
    let form = page
        .form()
        .with("username", "canary")
        .with("password", PASSWORD);
    for (what, wrong, status) in [
        (
            "wrong password",
            form.clone().with("password", WRONG_PASSWORD),
            403,
        ),
        (
            "password in the name",
            form.clone().with("username", PASSWORD),
            403,
        ),
        (
            "password too long",
            form.clone().with("password", &PASSWORD.repeat(99)),
            403,
        ),
        (
            "wrong token",
            form.clone().with("csrf", &"0".repeat(64)),
            403,
        ),
        (
            "password twice",
            form.clone().and("password", PASSWORD),
            400,
        ),
    ] {
        assert_eq!(life.submit(what, &wrong).await.status, status, "{what}");
    }
    let to_consent = life.submit("logs in", &form).await.location().unwrap();
    let page = life.get("consent page", &to_consent).await;
    let form = page.form().with("decision", "allow");
    life.submit("wrong token", &form.clone().with("csrf", &"0".repeat(64)))
        .await;
    life.submit("nothing ticked", &form.clone().without("scope"))
        .await;
    let answer = life.submit("allows", &form).await;
    let code = answer.parameter("code").unwrap();
    assert_eq!(life.submit("allows again", &form).await.status, 400);
    let denied = life
        .get(
            "asks",
            &authorize(client_id, &[S256, ("prompt", "consent")]),
        )
        .await;
    let page = life.get("consent page", &denied.location().unwrap()).await;
    life.submit("denies", &page.form().with("decision", "deny"))
        .await;
    code
}

/// Every way in which a code is refused.
async fn is_refused(life: &mut Life, client: (&str, &str), code: &str) {
    let (id, secret) = client;
    let wrong_secret = "WrongSecretWrongSecretWrongSecretWrongSecre";
    life.keep("wrong secret", wrong_secret);
    for (what, client) in [
        ("wrong secret", (id, wrong_secret)),
        ("unknown client", ("nobody", secret)),
    ] {
        let answer = life.redeems(what, client, code).await;
        assert_eq!(answer.status, 401, "{what}");
    }
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", WRONG_VERIFIER),
    ];
    let answer = life
        .post("wrong verifier", "/token", Some(client), &fields)
        .await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let path = format!("/token?code={code}&client_secret={secret}");
    let answer = life.post("in the query", &path, None, &fields).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let json = json!({ "code": code, "client_secret": secret }).to_string();
    let secret = format!("client_id={id}&client_secret={secret}");
    for (what, content_type, body) in [
        ("as JSON", "application/json", json),
        ("not a form", FORM, format!("%zz&code={code}&{secret}")),
        ("twice", FORM, format!("code={code}&code={code}&{secret}")),
        ("as a grant", FORM, format!("grant_type={code}&{secret}")),
    ] {
        let request = Request::post("/token").header("content-type", content_type);
        let request = request.body(body.into_bytes()).unwrap();
        let answer = life.send(what, request).await;
        assert!(answer.status.is_client_error(), "{what}: {answer:?}");
    }
}

/// Redeems and refreshes; gives a living access token and refresh token.
async fn exchanges(life: &mut Life, client: (&str, &str), code: &str) -> (String, String) {
    is_refused(life, client, code).await;
    let text = |answer: &Answer, name: &str| {
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()[name].as_str().unwrap().to_owned()
    };
    let first = life.redeems("redeems", client, code).await;
    let first = text(&first, "refresh_token");
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str()),
    ];
    let answer = life
        .post("refreshes", "/token", Some(client), &refresh)
        .await;
    let tokens = (
        text(&answer, "access_token"),
        text(&answer, "refresh_token"),
    );
    life.post("refreshes again", "/token", Some(client), &refresh)
        .await;
    let more = [refresh[0], refresh[1], ("scope", "mcp:write")];
    let answer = life.post("more scope", "/token", Some(client), &more).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    tokens
}

/// Uses an access token everywhere, rightly and wrongly.
async fn uses(life: &mut Life, gate: (&str, &str), access: &str) {
    let (head, signature) = access.rsplit_once('.').unwrap();
    let tampered = format!("{head}.{}", signature.chars().rev().collect::<String>());
    life.keep("tampered token", &tampered);
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    for (what, token) in [("good token", access), ("tampered token", &tampered)] {
        life.bearer(what, "POST", "/mcp", token, &call).await;
        life.bearer(what, "GET", "/api/v1/me", token, "").await;
        life.bearer(what, "GET", "/api/v1/protected/write", token, "")
            .await;
        life.bearer(what, "GET", "/userinfo", token, "").await;
        life.post(what, "/introspect", Some(gate), &[("token", token)])
            .await;
    }
    let told = life
        .bearer("user info", "GET", "/userinfo", access, "")
        .await;
    assert_eq!(told.status, 200, "{told:?}");
    let told = life
        .post("asks", "/introspect", Some(gate), &[("token", access)])
        .await;
    assert_eq!(told.json()["active"], true, "{told:?}");
    for path in ["/mcp", "/api/v1/me", "/userinfo", "/introspect"] {
        life.get(
            "token in the query",
            &format!("{path}?access_token={access}"),
        )
        .await;
    }
    life.post(
        "asks without a secret",
        "/introspect",
        None,
        &[("token", access)],
    )
    .await;
    let header = format!("Bearer {access} {access}");
    let request = Request::get("/userinfo").header("authorization", header);
    life.send("two tokens", request.body(Vec::new()).unwrap())
        .await;
}

/// Reads, replaces and removes the registration.
async fn manages(life: &mut Life, client_id: &str, token: &str) {
    let path = format!("/register/{client_id}");
    let wrong = "wr0ngRegistrationTokenwr0ngRegistrationToke";
    life.keep("wrong registration token", wrong);
    let body = json!({ "client_id": client_id, "client_name": "New", "redirect_uris": [CALLBACK] });
    for (what, token, status) in [("wrong token", wrong, 401), ("right token", token, 200)] {
        for (method, body) in [("GET", String::new()), ("PUT", body.to_string())] {
            let answer = life.bearer(what, method, &path, token, &body).await;
            assert_eq!(answer.status, status, "{what}: {answer:?}");
        }
    }
    assert_eq!(
        life.bearer("broken", "PUT", &path, token, "{").await.status,
        400
    );
    assert_eq!(
        life.bearer("removes", "DELETE", &path, token, "")
            .await
            .status,
        204
    );
}

/// Uses a refresh token that was replaced until that counts as theft.
async fn replays(life: &mut Life, client: (&str, &str), refresh: &str) {
    let old = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let next = life.post("refreshes", "/token", Some(client), &old).await;
    let next = next.json()["refresh_token"].as_str().unwrap().to_owned();
    let next = [old[0], ("refresh_token", next.as_str())];
    life.post("refreshes", "/token", Some(client), &next).await;
    let refused = async {
        loop {
            let answer = life.post("replays", "/token", Some(client), &old).await;
            if answer.status == 400 {
                return;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await;
    assert!(refused.is_ok(), "a replay ends with the grace");
}

/// What comes of a code without a question, because the same was allowed before.
async fn allowed_again(life: &mut Life, client: (&str, &str)) -> (String, Value) {
    let answer = life.get("asks", &authorize(client.0, &[S256])).await;
    let code = answer.parameter("code").unwrap();
    let answer = life.redeems("redeems", client, &code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (code, answer.json())
}

/// Gives tokens back, rightly and wrongly, and uses a code twice.
async fn ends(life: &mut Life, client: (&str, &str), other_secret: &str) {
    let (_, tokens) = allowed_again(life, client).await;
    for name in ["access_token", "refresh_token"] {
        let token = [("token", tokens[name].as_str().unwrap())];
        let wrong = Some((client.0, other_secret));
        life.post("wrong secret", "/revoke", wrong, &token).await;
        let answer = life
            .post("gives back", "/revoke", Some(client), &token)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let (code, _) = allowed_again(life, client).await;
    assert_eq!(life.redeems("replays", client, &code).await.status, 400);
}

/// Leaves, and looks at what anybody and the operator can see.
async fn leaves(life: &mut Life) {
    let form = life.get("logout page", "/logout").await.form();
    let wrong = form.clone().with("csrf", &"0".repeat(64));
    life.submit("wrong token", &wrong).await;
    life.submit("logs out", &form).await;
    let metadata = "/.well-known/oauth-authorization-server";
    for path in [metadata, "/jwks", "/health", "/no/such/page"] {
        life.get("looks", path).await;
    }
    life.looks_at_metrics().await;
    life.looks_at_spans().await;
    for arguments in [
        "client list --json",
        "client show gate --json",
        "user list --json",
        "key list --json",
        "config show",
    ] {
        let arguments: Vec<_> = arguments.split(' ').collect();
        life.runs(&arguments, "", None);
    }
}

#[tokio::test]
async fn no_secret_of_a_whole_life_is_found_where_it_does_not_belong() {
    let mut life = Life::begin().await;
    let add = ["user", "add", "canary", "--password-stdin"];
    life.runs(&add, PASSWORD, None);
    let resource = life.origin() + "/mcp";
    let gate = [
        "client",
        "add",
        "gate",
        "--id",
        "gate",
        "--introspect",
        &resource,
        "--json",
    ];
    let gate = life.runs(&gate, "", Some("client_secret"));
    let gate = ("gate", gate["client_secret"].as_str().unwrap());
    let (client_id, client_secret, management) = registers(&mut life).await;
    let client = (client_id.as_str(), client_secret.as_str());

    let code = allows(&mut life, &client_id).await;
    let (access, refresh) = exchanges(&mut life, client, &code).await;
    uses(&mut life, gate, &access).await;
    let machine = [("grant_type", "client_credentials")];
    let answer = life
        .post("for itself", "/token", Some(gate), &machine)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    replays(&mut life, client, &refresh).await;
    ends(&mut life, client, gate.1).await;
    manages(&mut life, &client_id, &management).await;
    leaves(&mut life).await;
    search::search(life);
}
