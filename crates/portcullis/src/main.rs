//! portcullis
fn main() {}
