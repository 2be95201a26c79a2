//! A recording is made, shown, verified, cut and changed.

use crate::{complaint, lines};
use std::fs;
use std::path::PathBuf;

/// The recording of a run of the blocking example.
fn record(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let told = lines("blocking", &["--record", path.to_str().unwrap()]);
    assert_eq!(told.last().unwrap(), "got, values: 1");
    path
}

#[test]
fn a_recording_is_shown_step_by_step() {
    let path = record("shown.khashmir");
    let path = path.to_str().unwrap();
    let all = lines("replay", &[path]);
    let [.., verdict] = &all[..] else { panic!("{all:?}") };
    let steps: usize = verdict.strip_suffix(" steps, identical").unwrap().parse().unwrap();
    assert_eq!(all.iter().filter(|line| line.starts_with('#')).count(), steps);
    assert!(
        all.iter().any(|line| line.contains("join finished, complete, contacts: 1"))
            && all.iter().any(|line| line.contains("value found, \"hello from"))
    );
    assert!(all.iter().any(|line| line.starts_with("    to 127.0.0.1:") && line.contains("FindNode query")));

    assert_eq!(lines("replay", &["--verify", path]), std::slice::from_ref(verdict));
    let first_two = lines("replay", &["--steps", "2", path]);
    assert!(first_two.iter().any(|line| line.starts_with("#1 at 0.") && line.contains("join 127.0.0.1:")));
    assert!(!first_two.iter().any(|line| line.starts_with("#2")), "{first_two:?}");
    assert_eq!(lines("replay", &["--until", "0", "--verify", path]), ["1 steps, identical"]);
    let puts = lines("replay", &["--only", "put finished", path]);
    assert_eq!(puts.iter().filter(|line| line.starts_with('#')).count(), 1);
    let blinded = lines("replay", &["--blind", path]);
    assert_eq!(blinded[0], "khashmir recording, blinded, 1");
    assert!(blinded.iter().any(|line| line.starts_with("    to ~") && line.contains("FindNode query by ~")));
    assert!(!blinded.iter().any(|line| line.contains("127.0.0.1") || line.contains("hello")));
    assert!(lines("replay", &["--node", "--verify", path]).contains(&"    contacts_ipv4: 1,".to_owned()));
}

#[test]
fn what_is_wrong_with_one_is_said() {
    let path = record("changed.khashmir");
    let recording = fs::read(&path).unwrap();
    let changed = |bytes: &[u8], arguments: &[&str]| {
        fs::write(&path, bytes).unwrap();
        complaint("replay", &[arguments, &[path.to_str().unwrap()]].concat())
    };
    let cut = changed(&recording[..recording.len() - 30], &["--verify"]);
    assert!(cut.contains("ends without its end") && cut.contains("at byte"), "{cut}");
    let mut damaged = recording.clone();
    damaged[recording.len() / 2] ^= 1;
    assert!(changed(&damaged, &["--verify"]).contains("damaged, at byte"));
    assert!(changed(b"anything", &[]).contains("no recording"));
    assert!(complaint("replay", &["--frob"]).contains("what is --frob"));
    assert!(complaint("replay", &["no such file"]).contains("no such file: No such file"));
}
