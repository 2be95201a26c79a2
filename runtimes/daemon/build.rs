//! Tells the program when it was built, before which no clock can be right.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // Whoever builds reproducibly says when.
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let named = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=KHASHMIR_BUILT_AT={}", named.unwrap_or_else(now));
}
