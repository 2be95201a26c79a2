//! `khashmir status` shows what is under way.

use super::archive::{Archive, content, pool};
use super::home::Home;
use super::mirror::{Act, Mirror};

const PIECE: usize = 524_288;

#[test]
fn downloads_in_progress_have_bars_on_a_terminal_and_lines_elsewhere() {
    let package = content(1, 4 * PIECE);
    let archive = Archive::of(&[("slow_1.0_all.deb", &package)]);
    let slow = package.clone();
    let mirror = Mirror::of(&archive, move |asked| {
        asked.path.ends_with(".deb").then(|| Act::Stall(PIECE, slow.clone()))
    });
    let home = Home::start("127.0.0.1", Some(&mirror), &[]);
    home.update(&mirror, &archive);
    home.wait_status("the index is here", |status| status["downloads"]["in_progress"] == 0);
    let mut apt = home.apt();
    apt.ask(&mirror.url(&pool("slow_1.0_all.deb")), &[]);
    home.wait_status("a quarter is there", |status| {
        status["fetching"][0]["bytes_from_mirror"].as_u64() == Some(PIECE as u64)
    });

    let fetching = &home.status()["fetching"][0];
    assert_eq!(fetching["len"], 4 * PIECE);
    assert_eq!(fetching["mirror"][0]["why"], "nobody_known");
    let plain = home.type_in(&["status"]).ok();
    let line = plain.lines().last().unwrap();
    assert!(line.starts_with("  slow_1.0_all.deb  25 % 512.0 KiB of 2.0 MiB"), "{plain}");
    assert!(!plain.contains('\u{1b}') && plain.contains(" 1 under way"), "{plain}");
    let shown = home.type_on_terminal(&["status"]);
    let bar = shown.lines().rfind(|line| line.contains("slow_1.0_all.deb")).unwrap();
    assert!(bar.contains("[#####") && bar.contains("--]") && bar.contains(" 25 %"), "{shown:?}");

    mirror.open_gate();
    assert!(apt.read().unwrap().ok() == package);
    home.wait_status("it has arrived", |status| status["fetching"].as_array().unwrap().is_empty());
    assert!(home.type_in(&["status"]).ok().contains("from mirrors"));
    let refused = home.type_in(&["status", "--watch"]);
    assert!(refused.code == 1 && refused.err.contains("terminal"), "{refused:?}");
}
