//! Outbound HTTP, handed in.
