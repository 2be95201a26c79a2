//! Drivers stay thin: a runtime adds only how to wait.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// Lines that the sources of a driver have fewer of, all together.
const MAX_LINES: usize = 300;

#[test]
fn each_driver_has_less_than_three_hundred_lines() {
    for driver in ["smol", "mio", "tokio"] {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(driver).join("src");
        let mut lines = 0;
        for entry in fs::read_dir(&src).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.is_file(), "{} is counted too", path.display());
            let text = fs::read_to_string(path).unwrap();
            assert!(!text.contains("#[cfg(test)]"), "tests are beside src");
            lines += text.lines().count();
        }
        println!("{driver}: {lines} lines");
        assert!(lines > 0 && lines < MAX_LINES, "{driver} has {lines} lines");
    }
}
