//! Fetching from addresses that strangers name: metadata documents of clients and the like.
//!
//! The server must not become a stranger's hand inside its own network. So a name is looked up
//! once, every address of the answer must pass the [`AddressGuard`], and the address that passed is
//! the one that is dialled (RFC 6890; Client ID Metadata Document §6.5). Redirects are not followed.

mod address;
mod dial;
mod guarded;
mod resolve;
mod tls;

pub use address::AddressGuard;
pub use dial::{Dialler, TcpDialler};
pub use guarded::{
    GuardedFetchError, GuardedFetcher, GuardedLimits, GuardedParts, GuardedResponse,
};
pub use resolve::{Resolver, ServerResolver, SystemResolver};
pub(crate) use tls::tls;
