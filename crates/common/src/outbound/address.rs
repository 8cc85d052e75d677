//! Which addresses a stranger may send us to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The IPv4 special-purpose registry (RFC 6890 and its successors), and multicast.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Protocol assignments with Teredo (RFC 4380), documentation, 6to4 (RFC 3056): Teredo and 6to4
/// carry IPv4 addresses to wherever they point.
const SET_APART_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Decides whether an address may be dialled.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Vec<IpNet>,
    allows_loopback: bool,
}

impl AddressGuard {
    /// Public addresses pass, and those of `allowed`; loopback passes only where our own public URL
    /// is on loopback, because there the operator and the stranger are the same person.
    pub const fn new(allowed: Vec<IpNet>, allows_loopback: bool) -> Self {
        Self {
            allowed,
            allows_loopback,
        }
    }

    /// Whether this address may be dialled. A mapped address is judged as the one it carries.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_opened = self.allowed.iter().any(|net| net.contains(&address));
        let is_own = self.allows_loopback && address.is_loopback();
        is_opened
            || is_own
            || match address {
                IpAddr::V4(v4) => is_public_v4(v4),
                IpAddr::V6(v6) => is_public_v6(v6),
            }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !SPECIAL_V4.iter().any(|(network, length)| {
        let shift = 32 - length;
        bits >> shift == u32::from(*network) >> shift
    })
}

/// Global unicast (`2000::/3`) without the blocks of it that are set apart. What lies outside is
/// special: compatible and translated addresses (`::/96`, `64:ff9b::/32`), unique local, link local
/// and site local ones, multicast.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let is_in = |(network, length): &(Ipv6Addr, u32)| {
        let shift = 128 - length;
        bits >> shift == u128::from(*network) >> shift
    };
    is_in(&GLOBAL_UNICAST) && !SET_APART_V6.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &AddressGuard, addresses: &[&str], expected: bool) {
        for text in addresses {
            assert_eq!(guard.permits(text.parse().unwrap()), expected, "{text}");
        }
    }

    /// One address of each special block, and each of its neighbours outside.
    const SPECIAL: &[&str] = &[
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.1.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "2001:4860:4860::8888",
        "2606:4700::1",
        "2a00:1450::1",
    ];

    #[test]
    fn special_purpose_addresses_are_refused_in_every_form() {
        check(&AddressGuard::default(), SPECIAL, false);
        check(&AddressGuard::default(), PUBLIC, true);
    }

    #[test]
    fn loopback_passes_only_where_we_are_on_loopback_ourselves() {
        let guard = AddressGuard::new(Vec::new(), true);
        check(&guard, &["127.0.0.1", "::1", "::ffff:127.0.0.1"], true);
        check(
            &guard,
            &["10.0.0.1", "::127.0.0.1", "0.0.0.0", "2002:7f00:1::"],
            false,
        );
    }

    #[test]
    fn the_operator_can_open_networks() {
        let guard = AddressGuard::new(vec!["10.1.0.0/16".parse().unwrap()], false);
        check(&guard, &["10.1.2.3", "::ffff:10.1.2.3"], true);
        check(&guard, &["10.2.0.1", "127.0.0.1"], false);
    }
}
