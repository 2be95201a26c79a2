use std::collections::BTreeMap;
use std::time::Duration;

use khashmir::config::AddressFamilies;
use khashmir::download::DownloadConfig;

use super::*;

const EXAMPLE: &str = include_str!("../../khashmir.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("khashmir.toml"))
}

/// The error as a person sees it, which must name file and line.
#[track_caller]
fn error_at_line(line: usize, text: &str) -> String {
    let error = parse(text).unwrap_err().to_string();
    let place = format!("khashmir.toml, line {line}: ");
    assert!(error.starts_with(&place), "{error}");
    error
}

/// The example with its defaults, or its examples too, no longer comments.
fn example(uncomment_examples: bool) -> String {
    let is_key = |text: &str| {
        text.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes().all(|byte| byte.is_ascii_lowercase() || b"46_".contains(&byte))
        })
    };
    let line = |line: &str| {
        let default = line.strip_prefix('#').filter(|text| is_key(text));
        let shown = line.strip_prefix("# ").filter(|text| uncomment_examples && is_key(text));
        format!("{}\n", default.or(shown).unwrap_or(line))
    };
    EXAMPLE.lines().map(line).collect()
}

#[test]
fn the_example_says_nothing_but_defaults() {
    assert_eq!(parse(EXAMPLE).unwrap(), Config::default());
    let defaults = example(false);
    assert!(defaults.contains("\nlisten = \"127.0.0.1:9977\"\n"), "{defaults}");
    assert_eq!(parse(&defaults).unwrap(), Config::default());
}

/// The keys that may stand in each table, out of what the parser says when it
/// meets another. The root is "".
fn known_keys() -> BTreeMap<String, Vec<String>> {
    let mut keys = BTreeMap::new();
    let mut tables = vec![String::new()];
    while let Some(table) = tables.pop() {
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let error = parse(&format!("{header}zzz = 1")).unwrap_err().to_string();
        let (_, list) = error.lines().next().unwrap().split_once("expected ").unwrap();
        let list: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let inner = list.iter().map(|key| format!("{table}.{key}").trim_start_matches('.').to_owned());
        tables.extend(inner.filter(|table| parse(&format!("[{table}]")).is_ok()));
        keys.insert(table, list);
    }
    keys
}

#[test]
fn the_example_mentions_every_key() {
    let all: toml::Value = toml::from_str(&example(true)).unwrap();
    let keys = known_keys();
    assert_eq!(keys.len(), 13, "{keys:?}");
    for (table, keys) in keys {
        let written = table.split('.').filter(|name| !name.is_empty()).fold(&all, |all, name| &all[name]);
        for key in keys {
            assert!(written.get(&key).is_some(), "khashmir.toml lacks [{table}] {key}");
        }
    }
}

/// The bounds of every key of the engine's that is a number, as the error for another says them.
fn bounds() -> Vec<(String, String, [u64; 2])> {
    let is_the_engines = |table: &str| table.starts_with("dht") || table == "downloads";
    let keys = known_keys().into_iter().filter(|(table, _)| is_the_engines(table));
    let keys = keys.flat_map(|(table, keys)| keys.into_iter().map(move |key| (table.clone(), key)));
    let with_bounds = keys.filter_map(|(table, key)| {
        let error = parse(&format!("[{table}]\n{key} = -1\n")).err()?.to_string();
        let (_, allowed) = error.split_once("allowed: ")?;
        let (least, most) = allowed.lines().next()?.split_once(" to ")?;
        Some((table, key, [least.parse().ok()?, most.parse().ok()?]))
    });
    with_bounds.collect()
}

fn engine(config: &Config) -> khashmir::Config {
    config.dht.engine(AddressFamilies::Both)
}

#[test]
fn the_defaults_are_the_engines_but_for_what_a_daemon_needs() {
    let ours = engine(&Config::default());
    let mut theirs = khashmir::Config { address_families: AddressFamilies::Both, ..Default::default() };
    assert_ne!(ours, theirs);
    theirs.limits.queries_per_second_and_source = 512;
    theirs.limits.proved_addresses = 8192;
    theirs.early_values = true;
    assert_eq!(ours, theirs);
    assert_eq!(Config::default().downloads.engine(), DownloadConfig::default());
}

#[test]
fn whatever_the_bounds_allow_the_engine_takes() {
    let bounds = bounds();
    assert!(bounds.len() > 50, "{bounds:?}");
    for (table, key, values) in &bounds {
        for value in values {
            let config = parse(&format!("[{table}]\n{key} = {value}\n")).unwrap();
            assert_eq!(engine(&config).validate(), Ok(()), "[{table}] {key} = {value}");
        }
    }
    for extreme in [0, 1] {
        let mut tables: BTreeMap<&str, String> = BTreeMap::new();
        for (table, key, values) in &bounds {
            *tables.entry(table).or_default() += &format!("{key} = {}\n", values[extreme]);
        }
        let text: String = tables.iter().map(|(table, keys)| format!("[{table}]\n{keys}")).collect();
        let config = engine(&parse(&text).unwrap());
        khashmir::Node::new(config, [7; 32], khashmir::Instant::ORIGIN).unwrap().check_invariants();
    }
}

#[test]
fn every_knob_of_the_engine_reaches_it() {
    let both = |config: &Config| (engine(config), config.downloads.engine());
    let reaches = |table: &str, key: &str, values: [&str; 2]| {
        let [one, other] = values.map(|value| parse(&format!("[{table}]\n{key} = {value}\n")).unwrap());
        assert_ne!(both(&one), both(&other), "[{table}] {key}");
    };
    for (table, key, [least, most]) in bounds() {
        reaches(&table, &key, [&least.to_string(), &most.to_string()]);
    }
    for (table, key) in [
        ("dht", "accept_stores"),
        ("dht.lookup", "leap_frog"),
        ("dht.lookup", "abort_early"),
        ("dht.lookup", "re_ping"),
        ("dht.lookup", "prefer_sound"),
    ] {
        reaches(table, key, ["true", "false"]);
    }
    reaches("dht.lookup", "admission", ["'reach'", "'answer'"]);
    reaches("dht.lookup.retransmission", "resend_after_ms", ["[1000, 2000, 3000]", "[1000, 2000, 4000]"]);
    reaches("dht.limits", "store_bytes", ["'1 MiB'", "'1 MB'"]);

    let text = "[dht.upkeep]\nrefresh_after_seconds = 61\n[dht.lookup.retransmission]\nfail_after_ms = 61\n";
    let engine = engine(&parse(text).unwrap());
    assert_eq!(engine.upkeep.refresh_after, Duration::from_secs(61));
    assert_eq!(engine.lookup.retransmission.fail_after, Duration::from_millis(61));
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let config = parse(&example(true)).unwrap();
    assert_ne!(config, Config::default());
    assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
}

#[test]
fn a_typo_names_file_line_key_and_what_is_allowed() {
    let error = error_at_line(3, "[cache]\n# a comment\nsise_limit = \"1 GiB\"\n");
    assert!(error.contains("`sise_limit`") && error.contains("`size_limit`"), "{error}");
    let error = error_at_line(1, "[chache]\n");
    assert!(error.contains("`chache`") && error.contains("`cache`"), "{error}");
}

#[test]
fn a_wrong_value_names_file_line_key_and_what_is_allowed() {
    for (line, key, text, allowed) in [
        (2, "listen", "[proxy]\nlisten = 9977\n", "127.0.0.1:9977"),
        (2, "listen", "[peers]\nlisten = \"localhost:9978\"\n", "[::]:9978"),
        (2, "advertise", "[peers]\nadvertise = \"0.0.0.0:9978\"\n", "203.0.113.7:9978"),
        (2, "advertise", "[peers]\nadvertise = \"192.0.2.1:0\"\n", "203.0.113.7:9978"),
        (2, "advertise", "[peers]\nadvertise = \"203.0.113.7\"\n", "port"),
        (2, "max_connections", "[proxy]\nmax_connections = 0\n", "1 to 4096"),
        (2, "max_connections", "[proxy]\nmax_connections = \"many\"\n", "1 to 4096"),
        (2, "retries", "[mirror]\nretries = -1\n", "0 to 100"),
        (3, "allowed_clients", "\n[proxy]\nallowed_clients = [\"10.0.0.0/33\"]\n", "10.0.0.0/8"),
        (2, "allowed_upstreams", "[proxy]\nallowed_upstreams = [\"http://mirror\"]\n", "mirror.example"),
        (2, "bootstrap", "[dht]\nbootstrap = [\"nameless\"]\n", "name.example:9978"),
        (2, "bootstrap", "[dht]\nbootstrap = \"a.example:1\"\n", "sequence"),
        (2, "size_limit", "[cache]\nsize_limit = \"10 potatoes\"\n", "10 GiB"),
        (2, "size_limit", "[cache]\nsize_limit = -5\n", "10 GiB"),
        (1, "dht", "dht = 1\n", "a table of keys"),
        (2, "retransmission", "[dht.lookup]\nretransmission = 3\n", "a table of keys"),
        (2, "upload_limit_per_second", "[peers]\nupload_limit_per_second = \"fast\"\n", "500 MB"),
        (2, "store_copies", "[dht]\nstore_copies = 9\n", "1 to 8"),
        (2, "accept_stores", "[dht]\naccept_stores = 1\n", "boolean"),
        (2, "parallelism", "[dht.lookup]\nparallelism = 17\n", "1 to 16"),
        (2, "admission", "[dht.lookup]\nadmission = \"all\"\n", "`answer`"),
        (2, "resend_after_ms", "[dht.lookup.retransmission]\nresend_after_ms = [1, 0, 1]\n", "1 to 60000"),
        (2, "checkpoint_interval_seconds", "[dht.upkeep]\ncheckpoint_interval_seconds = 0\n", "10 to 3600"),
        (2, "datagram_ipv4_bytes", "[dht.limits]\ndatagram_ipv4_bytes = 9000\n", "512 to 1472"),
        (2, "stall_seconds", "[downloads]\nstall_seconds = \"long\"\n", "1 to 600"),
        (2, "level", "[log]\nlevel = \"loud\"\n", "`debug`"),
    ] {
        let error = error_at_line(line, text);
        assert!(error.contains(key) && error.contains(allowed), "{key}: {error}");
    }
}

#[test]
fn what_is_no_toml_names_its_line() {
    let error = error_at_line(2, "[proxy]\nlisten = \n");
    assert!(error.contains("listen"), "{error}");
}

#[test]
fn a_list_over_lines_names_the_line_of_the_wrong_item() {
    let text = "[dht]\nbootstrap = [\n  \"a.example:1\",\n  \"b.example\",\n]\n";
    let error = error_at_line(4, text);
    assert!(error.contains("b.example"), "{error}");
}

#[test]
fn sizes_are_read_in_the_units_that_people_write() {
    let size = |text: &str| text.parse::<Size>().map(Size::bytes);
    assert_eq!(size("10 GiB"), Ok(10 << 30));
    assert_eq!(size("10GiB"), Ok(10 << 30));
    assert_eq!(size("500 MB"), Ok(500_000_000));
    assert_eq!(size("0"), Ok(0));
    assert!(size("-1").is_err());
    assert!(size("16 EiB").is_err());
    assert_eq!(Size::gib(10).to_string(), "10 GiB");
    assert_eq!(parse("[cache]\nsize_limit = 4096\n").unwrap().cache.size_limit.to_string(), "4 KiB");
    let peers = parse("[peers]\nupload_limit_per_second = \"2 MB\"\n").unwrap().peers;
    assert_eq!(peers.upload_limit_per_second.bytes(), 2_000_000);
}

#[test]
fn clients_are_allowed_by_network_however_their_address_is_written() {
    let config = parse("[proxy]\nallowed_clients = [\"10.0.0.0/8\", \"2001:db8::7\"]\n").unwrap();
    let allows = |text: &str| config.proxy.allows_client(text.parse().unwrap());
    assert!(allows("10.1.2.3") && allows("::ffff:10.1.2.3") && allows("2001:db8::7"));
    assert!(!allows("11.1.2.3") && !allows("2001:db8::8") && !allows("127.0.0.1"));
    let default = ProxyConfig::default();
    assert!(default.allows_client("127.0.0.1".parse().unwrap()));
    assert!(default.allows_client("::1".parse().unwrap()));
    assert!(!default.allows_client("192.168.1.1".parse().unwrap()));
}

#[test]
fn hosts_and_ports_are_read_as_they_are_written() {
    for text in ["name.example:9978", "192.0.2.1:1", "[2001:db8::1]:9978"] {
        assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
    }
    for text in ["", ":1", "a.example", "a.example:0", "a.example:65536", "2001:db8::1:9978", "a b:1"] {
        assert!(text.parse::<HostPort>().is_err(), "{text}");
    }
    for text in ["mirror.example", "mirror.example:8080", "10.0.0.0/8", "[::1]:80"] {
        assert_eq!(text.parse::<Upstream>().unwrap().to_string(), text);
    }
}
