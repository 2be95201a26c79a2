//! Bytes for people to read.

use std::fmt::Write as _;

const WIDTH: usize = 16;

/// Lines of offset, bytes and characters, as `hexdump -C` has them, each after `indent`.
pub(super) fn hexdump(bytes: &[u8], indent: &str) -> String {
    let mut out = String::new();
    for (line, chunk) in bytes.chunks(WIDTH).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
        let text: String = chunk.iter().map(shown).collect();
        let width = WIDTH * 3 - 1;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{indent}{:04x}  {:width$}  |{text}|", line * WIDTH, hex.join(" "));
    }
    if bytes.is_empty() {
        let _ = writeln!(out, "{indent}(no bytes)");
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn offset_bytes_and_characters() {
        let dump = super::hexdump(b"d1:ad2:id20:\x00\xff\x7f~!", "> ");
        let lines: Vec<&str> = dump.lines().collect();
        assert_eq!(lines[0], "> 0000  64 31 3a 61 64 32 3a 69 64 32 30 3a 00 ff 7f 7e  |d1:ad2:id20:...~|");
        assert_eq!(lines[1], format!("> 0010  21{}  |!|", " ".repeat(45)));
    }
}
