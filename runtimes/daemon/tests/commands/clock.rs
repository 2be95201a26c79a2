//! A clock that is wrong is told of, and what to do about it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive::Archive;
use super::home::{Home, wait};
use super::mirror::{Act, Mirror};

/// A library that sets a program's clock to 1970.
fn library(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    let text = "#define _GNU_SOURCE\n\
                #include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n\
                int clock_gettime(clockid_t id, struct timespec *at) {\n\
                    int result = (int)syscall(SYS_clock_gettime, id, at);\n\
                    if (id == CLOCK_REALTIME && result == 0) at->tv_sec = 1000;\n\
                    return result;\n\
                }\n";
    std::fs::write(&source, text).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.unwrap().success());
    library
}

#[test]
fn a_clock_before_the_build_is_told_of_and_apt_is_served_all_the_same() {
    let archive = Archive::of(&[("p.deb", b"content")]);
    let mirror = Mirror::of(&archive, |_| None);
    let mut home = Home::at("127.0.0.1");
    home.preload(library(&home.path("")));
    home.begin_daemon(Some(&mirror), &[]);
    let text = home.type_in(&["status"]).ok();
    for part in ["attention ", "Thu, 01 Jan 1970", "was built at", "timedatectl set-ntp true"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(home.complaints().contains("was built at"), "{}", home.complaints());
    home.update(&mirror, &archive);
    assert_eq!(home.install(&mirror, "p.deb"), b"content");
}

#[test]
fn a_clock_behind_the_mirrors_is_told_of_until_it_is_not() {
    let mirror = Mirror::start(|asked| {
        let day = if asked.path.ends_with("ahead") { "Thu, 01 Jan 2099" } else { "Sat, 01 Jan 2000" };
        Act::Headers(b"x".to_vec(), vec![format!("Date: {day} 00:00:00 GMT")])
    });
    let home = Home::start("127.0.0.1", Some(&mirror), &[]);
    let problems = || home.status()["problems"].as_array().unwrap().len();
    assert_eq!(problems(), 0);
    home.apt().get(&mirror.url("/ahead"), &[]).ok();
    wait("it is told", || {
        home.type_in(&["status"]).ok().contains("but a mirror answers at Thu, 01 Jan 2099")
    });
    home.apt().get(&mirror.url("/other"), &[]).ok();
    assert_eq!(problems(), 0, "another mirror says otherwise");
}
