//! Mirrors that are asked over https.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use futures_rustls::rustls::ServerConfig;

use super::archive::{Archive, SUITE, content, pool};
use super::mirror::{Act, Mirror};
use super::proxy::Proxy;
use super::tls::{Authority, front};

/// A daemon that trusts `authority` and may ask all mirrors of this machine.
fn trusting(authority: &Authority) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let file = authority.write(folder.path());
    // Read when it starts, not later.
    Proxy::with_keys(
        "[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"127.0.0.0/8\"]",
        &format!("ca_file = {file:?}\n"),
    )
}

#[test]
fn in_both_styles_a_mirror_is_asked_over_tls_and_its_files_kept() {
    let package = content(20, 700_000);
    let archive = Archive::of(&[("g++_1~2.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let authority = Authority::new("ours");
    let tls = front(mirror.address, authority.vouch("127.0.0.1"));
    let proxy = trusting(&authority);

    let mut client = proxy.connect();
    for before in [format!("http://HTTPS///{tls}"), format!("/HTTPS///{tls}"), format!("https://{tls}")] {
        client.get(&format!("{before}{SUITE}/InRelease"), &[]).ok();
        client.get(&format!("{before}{}", archive.packages_by_hash()), &[]).ok();
        let url = format!("{before}{}", pool("g%2b%2b_1%7e2.deb"));
        assert!(client.get(&url, &[]).ok() == package, "{url}");
    }
    proxy.wait_until_cached(&package);
    assert_eq!(mirror.asked(&pool("g%2b%2b_1%7e2.deb")).len(), 1, "the spellings name one file");
    let host = mirror.asked(&format!("{SUITE}/InRelease"))[0].header("host").unwrap().to_owned();
    assert_eq!(host, tls.to_string());
}

#[test]
fn one_connection_serves_many_requests() {
    let mirror = Mirror::start(|asked| Act::Serve(asked.path.clone().into()));
    let authority = Authority::new("ours");
    let tls = front(mirror.address, authority.vouch("127.0.0.1"));
    let proxy = trusting(&authority);
    let mut client = proxy.connect();
    for n in 0..20 {
        let path = format!("/{n}");
        assert_eq!(client.get(&format!("http://HTTPS///{tls}{path}"), &[]).ok(), path.as_bytes());
    }
    assert_eq!(mirror.connections(), 1);
}

/// What is said of a mirror at which one is not, and that it was asked nothing.
#[track_caller]
fn refused(proxy: &Proxy, mirror: &Mirror, tls: SocketAddr) -> String {
    let mut client = proxy.connect();
    for path in ["/x", &format!("{SUITE}/InRelease")] {
        let answer = client.get(&format!("http://HTTPS///{tls}{path}"), &[]);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(mirror.asked(path).is_empty());
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.reason, text.trim_end(), "apt shows it");
        if path == "/x" {
            assert!(text.contains(&tls.to_string()), "{text}");
        } else {
            return text;
        }
    }
    unreachable!()
}

/// An ordinary server, which does not understand the greeting of TLS.
fn without_tls() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    address
}

#[test]
fn a_certificate_that_is_not_right_is_refused_with_the_reason() {
    let mirror = Mirror::start(|_| Act::Serve(b"not to be trusted".to_vec()));
    let authority = Authority::new("ours");
    let proxy = trusting(&authority);
    let expired = authority.vouch_with("127.0.0.1", |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let stories: [(Arc<ServerConfig>, &[&str]); 3] = [
        (Authority::new("stranger").vouch("127.0.0.1"), &["authority is not known", "ca_file"]),
        (authority.vouch("other.example"), &["not valid for name", "other.example"]),
        (expired, &["expired", "clock"]),
    ];
    for (shown, reasons) in stories {
        let text = refused(&proxy, &mirror, front(mirror.address, shown));
        for reason in reasons {
            assert!(text.contains(reason), "{text}");
        }
    }
    let text = refused(&proxy, &mirror, without_tls());
    assert!(text.contains("does not speak TLS"), "{text}");
}

#[test]
fn nobody_is_led_away_from_tls() {
    let package = content(21, 10_000);
    let served = package.clone();
    let plain = Mirror::start(move |_| Act::Serve(served.clone()));
    let authority = Authority::new("ours");
    let tls = front(plain.address, authority.vouch("127.0.0.1"));
    let (up, down) = (format!("https://{tls}/file"), format!("http://{}/file", plain.address));
    let leading = Mirror::start(move |asked| {
        let to = if asked.path == "/up" { &up } else { &down };
        Act::Status(302, vec![format!("Location: {to}")])
    });
    let leading_tls = front(leading.address, authority.vouch("127.0.0.1"));

    let proxy = trusting(&authority);
    let mut client = proxy.connect();
    assert!(client.get(&leading.url("/up"), &[]).ok() == package, "from http to https");
    assert!(client.get(&format!("http://HTTPS///{leading_tls}/up"), &[]).ok() == package);
    let answer = client.get(&format!("http://HTTPS///{leading_tls}/down"), &[]);
    assert_eq!(answer.status, 403);
    assert!(answer.reason.contains("not https"), "{answer:?}");
}
