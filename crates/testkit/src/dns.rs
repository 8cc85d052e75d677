//! A DNS server that knows the names of a test and no others.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

/// Address records (RFC 1035 §3.2.2).
const A: u16 = 1;

/// A DNS server with IPv4 addresses only.
#[derive(Clone, Debug)]
pub struct DnsServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl DnsServer {
    /// Starts one on a free port of this machine.
    pub async fn start(names: &[(&str, &[Ipv4Addr])]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&server.asked);
        let names: HashMap<String, Vec<Ipv4Addr>> = names
            .iter()
            .map(|(name, addresses)| ((*name).to_owned(), addresses.to_vec()))
            .collect();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let (name, answer) = answer(&buffer[..length], &names);
                asked.lock().unwrap().push(name);
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The name of a query, and the answer to it (RFC 1035 §4.1).
fn answer(query: &[u8], names: &HashMap<String, Vec<Ipv4Addr>>) -> (String, Vec<u8>) {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let known = names.get(&name);
    let addresses: &[Ipv4Addr] = match known {
        Some(addresses) if kind == A => addresses,
        _ => &[],
    };
    let mut answer = query[..2].to_vec();
    // An answer with recursion; 3 says that there is no such name.
    answer.extend([0x81, if known.is_some() { 0x80 } else { 0x83 }]);
    let count = u8::try_from(addresses.len()).unwrap();
    answer.extend([0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&query[12..at + 5]);
    for address in addresses {
        // The name of the question, an address, of the internet, for no time, of four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    (name, answer)
}
