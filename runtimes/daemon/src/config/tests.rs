use std::collections::BTreeMap;

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
        text.split_once(" = ")
            .is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
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
/// meets another.
fn known_keys() -> BTreeMap<String, Vec<String>> {
    let expected = |text: String| -> Vec<String> {
        let error = parse(&text).unwrap_err().to_string();
        let message = error.lines().next().unwrap().to_owned();
        let (_, list) = message.split_once("expected ").unwrap();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let top = expected("zzz = 1".to_owned());
    let mut keys = BTreeMap::new();
    for table in &top {
        if parse(&format!("[{table}]")).is_ok() {
            keys.insert(table.clone(), expected(format!("[{table}]\nzzz = 1")));
        }
    }
    keys.insert(String::new(), top);
    keys
}

#[test]
fn the_example_mentions_every_key() {
    let all: toml::Table = toml::from_str(&example(true)).unwrap();
    let keys = known_keys();
    assert_eq!(keys.len(), 7, "{keys:?}");
    for (table, keys) in keys {
        let written = match table.as_str() {
            "" => &all,
            table => all[table].as_table().unwrap(),
        };
        for key in keys {
            assert!(written.contains_key(&key), "khashmir.toml lacks [{table}] {key}");
        }
    }
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
