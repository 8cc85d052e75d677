use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;

/// Records what would be dialled and lets nothing out.
#[derive(Clone, Debug, Default)]
struct RecordingDialler(Arc<Mutex<Vec<SocketAddr>>>);

#[async_trait]
impl Dialler for RecordingDialler {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.0.lock().unwrap().push(address);
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// Answers from a table, differently at each question where the table says so.
#[derive(Debug, Default)]
struct TableResolver(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

#[async_trait]
impl Resolver for TableResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut table = self.0.lock().unwrap();
        match table.get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Asks for a URL where `victim.test` has these addresses; gives what was dialled.
async fn dialled(url: &str, answers: &[&[&str]], guard: AddressGuard) -> Vec<String> {
    let dialler = RecordingDialler::default();
    let table = TableResolver::default();
    let answers = answers
        .iter()
        .map(|one| one.iter().map(|ip| ip.parse().unwrap()).collect());
    table
        .0
        .lock()
        .unwrap()
        .insert("victim.test".to_owned(), answers.collect());
    let parts = GuardedParts {
        guard,
        resolver: Box::new(table),
        dialler: Box::new(dialler.clone()),
    };
    let fetcher = GuardedFetcher::new(parts, None).unwrap();
    let limits = GuardedLimits {
        timeout: Duration::from_secs(3),
        body: 5120,
    };
    assert!(
        fetcher
            .get(&Url::parse(url).unwrap(), limits)
            .await
            .is_err()
    );
    let recorded = dialler.0.lock().unwrap();
    recorded.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_name_inside_the_network_is_never_dialled() {
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.1",
    ] {
        let nothing: Vec<String> = Vec::new();
        let guard = AddressGuard::default();
        assert_eq!(
            dialled("https://victim.test/c", &[&[address]], guard).await,
            nothing,
            "{address}"
        );
    }
}

#[tokio::test]
async fn an_address_in_the_url_is_judged_in_every_spelling() {
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "169.254.169.254",
        "[64:ff9b::a00:1]",
        "0.0.0.0",
        "0",
    ] {
        let url = format!("https://{host}/c");
        assert!(
            dialled(&url, &[&["1.1.1.1"]], AddressGuard::default())
                .await
                .is_empty(),
            "{host}"
        );
    }
}

#[tokio::test]
async fn one_address_inside_spoils_an_answer_that_also_points_outside() {
    let mixed: &[&str] = &["1.1.1.1", "10.0.0.1"];
    assert!(
        dialled("https://victim.test/c", &[mixed], AddressGuard::default())
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_dialled() {
    // A second look-up would give an address inside: there is none.
    let answers: &[&[&str]] = &[&["1.1.1.1", "2606:4700::1"], &["127.0.0.1"]];
    let recorded = dialled(
        "https://victim.test:8443/c",
        answers,
        AddressGuard::default(),
    )
    .await;
    assert_eq!(recorded, ["1.1.1.1:8443", "[2606:4700::1]:8443"]);
}

#[tokio::test]
async fn only_https_is_dialled() {
    for url in [
        "http://victim.test/c",
        "ftp://victim.test/c",
        "file:///etc/passwd",
    ] {
        assert!(
            dialled(url, &[&["1.1.1.1"]], AddressGuard::default())
                .await
                .is_empty(),
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_name_with_many_addresses_makes_us_knock_at_four_doors() {
    let many: Vec<String> = (1..100).map(|last| format!("93.184.216.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let guard = AddressGuard::default();
    let recorded = dialled("https://victim.test/c", &[&many], guard).await;
    assert_eq!(recorded.len(), MAX_DIALLED);
}
