use std::fmt::Write as _;
use std::time::Instant;

use super::*;
use crate::cache::Hasher;

const HOST: &str = "mirror.example";
const RELEASE: &str = "/debian/dists/sid/InRelease";

struct Place {
    _dir: tempfile::TempDir,
    database: Arc<Database>,
    catalog: Catalog,
}

impl Place {
    fn new() -> Self {
        Self::with_sources("")
    }

    fn with_sources(list: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sources.list"), list).unwrap();
        let sources = Sources::read(dir.path(), "127.0.0.1:9977".parse().unwrap(), &[]);
        let database = Arc::new(Database::open(&dir.path().join("khashmir.db")).unwrap());
        let catalog = Catalog::open(Arc::clone(&database), Arc::new(sources), "amd64".to_owned());
        Self { _dir: dir, database, catalog: catalog.unwrap() }
    }

    fn learn_release(&self, files: &[(&str, &str)]) -> Suite {
        self.catalog.learn_release(HOST, RELEASE, release(files).as_bytes()).unwrap()
    }

    fn learn_index(&self, content: &str) -> Result<(), LearnError> {
        self.catalog.learn_index(hashed(content), content.as_bytes())
    }

    fn lookup(&self, path: &str) -> Vec<Expected> {
        self.catalog.lookup(HOST, path).unwrap()
    }

    fn missing(&self, suite: &Suite) -> Vec<String> {
        self.catalog.missing_indexes(suite).unwrap().into_iter().map(|index| index.path).collect()
    }

    fn count(&self, table: &str) -> i64 {
        self.database
            .read(|connection| {
                connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            })
            .unwrap()
    }
}

fn hashed(content: &str) -> Verified {
    let mut hasher = Hasher::default();
    hasher.update(content.as_bytes());
    hasher.finish()
}

fn expected(content: &str) -> Expected {
    Expected { sha256: Sha256::of(content.as_bytes()), size: content.len() as u64 }
}

/// A Release that lists these paths with these contents.
fn release(files: &[(&str, &str)]) -> String {
    let mut text = "Suite: sid\nAcquire-By-Hash: yes\nSHA256:\n".to_owned();
    for (path, content) in files {
        let file = expected(content);
        writeln!(text, " {} {} {path}", file.sha256, file.size).unwrap();
    }
    text
}

fn packages(files: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (path, content) in files {
        let file = expected(content);
        let (size, sha256) = (file.size, file.sha256);
        write!(text, "Package: x\nFilename: {path}\nSize: {size}\nSHA256: {sha256}\n\n").unwrap();
    }
    text
}

fn by_hash(content: &str) -> String {
    format!("/debian/dists/sid/main/binary-amd64/by-hash/SHA256/{}", Sha256::of(content.as_bytes()))
}

#[test]
fn from_the_release_through_the_index_to_a_package() {
    let place = Place::new();
    let index = packages(&[("pool/main/g/g++_1~2.deb", "a compiler")]);
    let suite = place
        .learn_release(&[("main/binary-amd64/Packages", &index), ("main/i18n/Translation-en.xz", "words")]);
    assert_eq!(suite.to_string(), "mirror.example/debian/dists/sid");
    assert_eq!(place.lookup("/debian/pool/main/g/g++_1~2.deb"), []);
    assert_eq!(place.missing(&suite), [by_hash(&index)]);
    // Files of the Release itself, by name and by hash.
    assert_eq!(place.lookup("/debian/dists/sid/main/i18n/Translation-en.xz"), [expected("words")]);
    assert_eq!(place.lookup(&by_hash(&index)), [expected(&index)]);

    place.learn_index(&index).unwrap();
    assert_eq!(place.lookup("/debian/pool/main/g/g++_1~2.deb"), [expected("a compiler")]);
    assert_eq!(place.missing(&suite), Vec::<String>::new());
    // Nothing is known of other hosts, roots and suites.
    assert_eq!(place.catalog.lookup("other.example", "/debian/pool/main/g/g++_1~2.deb").unwrap(), []);
    assert_eq!(place.lookup("/ubuntu/pool/main/g/g++_1~2.deb"), []);
    assert_eq!(place.lookup("/debian/dists/sid2/main/i18n/Translation-en.xz"), []);
    assert_eq!(place.lookup("/pool/main/g/g++_1~2.deb"), []);
}

#[test]
fn where_a_release_has_sha512_files_are_known_by_that_too() {
    let place = Place::new();
    let index = packages(&[("pool/a.deb", "a")]);
    let path = format!("/debian/dists/sid/main/binary-amd64/by-hash/SHA512/{}", "0f".repeat(64));
    let only_sha256 = release(&[("main/binary-amd64/Packages", &index), ("main/binary-s390x/Packages", "")]);
    let learn = |text: &str| place.catalog.learn_release(HOST, RELEASE, text.as_bytes()).unwrap();
    learn(&only_sha256);
    assert_eq!(place.lookup(&path), []);
    let digits = "0f".repeat(64);
    // Of the same files: what was known before is completed.
    let suite =
        learn(&format!("{only_sha256}SHA512:\n {digits} {} main/binary-amd64/Packages\n", index.len()));
    assert_eq!(place.lookup(&path), [expected(&index)]);
    assert_eq!(place.lookup(&path.replace("/sid/", "/sid2/")), []);
    assert_eq!(place.missing(&suite), [by_hash(&index)]);
    // Who asks for an index by it wants that index.
    let foreign = format!("{only_sha256}SHA512:\n {digits} 0 main/binary-s390x/Packages\n");
    let suite = learn(&foreign);
    assert_eq!(place.missing(&suite).len(), 1);
    place.catalog.record_wanted(HOST, &path.replace("amd64", "s390x")).unwrap();
    assert_eq!(place.missing(&suite).len(), 2);
}

#[test]
fn an_index_that_no_release_lists_teaches_nothing() {
    let place = Place::new();
    let right = packages(&[("pool/a.deb", "right")]);
    let altered = packages(&[("pool/a.deb", "wrong")]);
    place.learn_release(&[("main/binary-amd64/Packages", &right)]);
    assert!(matches!(place.learn_index(&altered), Err(LearnError::NotListed)));
    assert_eq!(place.lookup("/debian/pool/a.deb"), []);
}

#[test]
fn a_listed_file_that_is_no_index_teaches_nothing() {
    let place = Place::new();
    let text = packages(&[("pool/a.deb", "a")]);
    place.learn_release(&[("main/Contents-amd64", &text)]);
    assert!(matches!(place.learn_index(&text), Err(LearnError::NotListed)));
}

#[test]
fn older_generations_stay_known_behind_the_newest_until_they_are_too_old() {
    let place = Place::new();
    let content = |generation: usize| format!("build {generation}");
    let index = |generation| packages(&[("pool/a.deb", &content(generation))]);
    let learn = |generation| {
        place.learn_release(&[("main/binary-amd64/Packages", &index(generation))]);
        place.learn_index(&index(generation)).unwrap();
    };
    for generation in 0..6 {
        learn(generation);
    }
    let newest_first: Vec<Expected> = (2..6).rev().map(|nth| expected(&content(nth))).collect();
    assert_eq!(place.lookup("/debian/pool/a.deb"), newest_first);
    assert_eq!(place.lookup("/debian/dists/sid/main/binary-amd64/Packages").len(), KEPT_GENERATIONS);
    assert_eq!(place.count("generation"), 4);
    assert_eq!(place.count("learnt_index"), 4, "what nothing names any more is forgotten");
    assert_eq!(place.count("index_entry"), 4);

    // A mirror that falls back makes the older one the newest again.
    learn(3);
    assert_eq!(place.lookup("/debian/pool/a.deb").first(), Some(&expected(&content(3))));
    assert_eq!(place.count("generation"), 4);
}

#[test]
fn an_index_that_did_not_change_is_kept_over_generations() {
    let place = Place::new();
    let index = packages(&[("pool/a.deb", "same")]);
    for other in 0..6 {
        let changing = format!("translation {other}");
        place.learn_release(&[
            ("main/binary-amd64/Packages", &index),
            ("main/i18n/Translation-en", &changing),
        ]);
        place.learn_index(&index).unwrap();
    }
    assert_eq!(place.lookup("/debian/pool/a.deb"), [expected("same")]);
    assert_eq!(place.count("learnt_index"), 1);
}

#[test]
fn the_same_release_signed_anew_is_the_same_generation() {
    let place = Place::new();
    let text = release(&[("main/binary-amd64/Packages", "x")]);
    let signed = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}-----BEGIN PGP SIGNATURE-----\n\nab\n-----END PGP SIGNATURE-----\n"
    );
    place.catalog.learn_release(HOST, RELEASE, signed.as_bytes()).unwrap();
    place.catalog.learn_release(HOST, "/debian/dists/sid/Release", text.as_bytes()).unwrap();
    assert_eq!(place.count("generation"), 1);
}

#[test]
fn what_is_no_release_is_refused_and_says_where() {
    let place = Place::new();
    let learn = |path, text: &str| place.catalog.learn_release(HOST, path, text.as_bytes());
    let text = release(&[]);
    assert!(matches!(learn("/debian/pool/InRelease", &text), Err(LearnError::NotARelease)));
    assert!(matches!(learn("/debian/dists/sid/Release.gpg", &text), Err(LearnError::NotARelease)));
    let error = learn(RELEASE, "SHA256:\n nonsense\n").unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert_eq!(place.count("suite"), 0);
}

#[test]
fn a_broken_index_is_refused_whole() {
    let place = Place::new();
    let broken = format!("{}nonsense\n", packages(&[("pool/a.deb", "a")]));
    place.learn_release(&[("main/binary-amd64/Packages", &broken)]);
    assert!(matches!(place.learn_index(&broken), Err(LearnError::Index(_))));
    assert_eq!(place.lookup("/debian/pool/a.deb"), []);
    assert_eq!(place.count("learnt_index"), 0);
    assert_eq!(place.count("index_entry"), 0);
}

#[test]
fn a_half_learnt_index_is_unknown_and_goes_at_the_next_start() {
    let place = Place::new();
    let index = packages(&[("pool/a.deb", "a")]);
    place.learn_release(&[("main/binary-amd64/Packages", &index)]);
    place.learn_index(&index).unwrap();
    place
        .database
        .write(crate::database::Durability::Relaxed, |transaction| {
            transaction.execute("UPDATE learnt_index SET complete = FALSE", [])
        })
        .unwrap();
    assert_eq!(place.lookup("/debian/pool/a.deb"), []);
    let database = Arc::clone(&place.database);
    drop(Catalog::open(database, Arc::new(Sources::default()), "amd64".to_owned()).unwrap());
    assert_eq!(place.count("index_entry"), 0);
}

#[test]
fn wanted_are_this_machines_packages_and_what_clients_asked_for() {
    let place = Place::with_sources("deb http://mirror.example/debian sid main\n");
    let suite = place.learn_release(&[
        ("main/binary-amd64/Packages", "plain"),
        ("main/binary-amd64/Packages.gz", "gz"),
        ("main/binary-amd64/Packages.xz", "xz"),
        ("main/binary-amd64/Packages.bz2", "bz2"),
        ("main/binary-i386/Packages.xz", "i386"),
        ("main/debian-installer/binary-amd64/Packages.xz", "installer"),
        ("main/source/Sources.xz", "sources"),
        ("contrib/binary-amd64/Packages.xz", "contrib"),
    ]);
    assert_eq!(place.missing(&suite), [by_hash("xz")]);

    // apt asks by hash, or by name; whichever variant it takes, ours is best.
    place.catalog.record_wanted(HOST, &by_hash("i386")).unwrap();
    place.catalog.record_wanted(HOST, "/debian/dists/sid/main/source/Sources.xz").unwrap();
    place.catalog.record_wanted(HOST, "/debian/dists/sid/main/i18n/Translation-en.xz").unwrap();
    let sources = by_hash("sources").replace("binary-amd64", "source");
    let i386 = by_hash("i386").replace("binary-amd64", "binary-i386");
    assert_eq!(place.missing(&suite), [i386.clone(), sources, by_hash("xz")]);

    // The wish outlives the generation in which it was made.
    let suite = place.learn_release(&[("main/binary-i386/Packages.xz", "i386 anew")]);
    assert_eq!(
        place.missing(&suite),
        [i386.replace(&Sha256::of(b"i386").to_string(), &Sha256::of(b"i386 anew").to_string())]
    );
}

#[test]
fn of_a_suite_that_the_machine_does_not_name_all_components_are_wanted() {
    let place = Place::with_sources("deb http://mirror.example/debian stable main\n");
    let suite = place.learn_release(&[
        ("main/binary-amd64/Packages.xz", "main"),
        ("contrib/binary-amd64/Packages.xz", "contrib"),
    ]);
    assert_eq!(place.missing(&suite).len(), 2);
}

#[test]
fn an_index_known_in_one_variant_is_not_missing_in_another() {
    let place = Place::new();
    let plain = packages(&[("pool/a.deb", "a")]);
    let suite = place.learn_release(&[
        ("main/binary-amd64/Packages", &plain),
        ("main/binary-amd64/Packages.xz", "its packed form"),
    ]);
    place.learn_index(&plain).unwrap();
    assert_eq!(place.missing(&suite), Vec::<String>::new());
}

#[test]
fn without_by_hash_the_name_is_asked_for() {
    let place = Place::new();
    let text = release(&[("main/binary-amd64/Packages.xz", "x")]).replace("By-Hash: yes", "By-Hash: no");
    let suite = place.catalog.learn_release(HOST, RELEASE, text.as_bytes()).unwrap();
    assert_eq!(place.missing(&suite), ["/debian/dists/sid/main/binary-amd64/Packages.xz"]);
}

#[test]
fn packages_kept_below_dists_are_found_too() {
    let place = Place::new();
    let index = packages(&[("dists/sid/pool/a.deb", "a")]);
    place.learn_release(&[("main/binary-amd64/Packages", &index)]);
    place.learn_index(&index).unwrap();
    assert_eq!(place.lookup("/debian/dists/sid/pool/a.deb"), [expected("a")]);
}

#[test]
fn suites_seen_longest_ago_are_forgotten_first() {
    let place = Place::new();
    for nth in 0..=MAX_SUITES {
        let path = format!("/debian/dists/s{nth}/InRelease");
        let text = release(&[("main/binary-amd64/Packages.xz", "x")]);
        place.catalog.learn_release(HOST, &path, text.as_bytes()).unwrap();
    }
    let known =
        |nth: usize| !place.lookup(&format!("/debian/dists/s{nth}/main/binary-amd64/Packages.xz")).is_empty();
    assert!(!known(0) && known(1) && known(MAX_SUITES));
}

#[test]
fn wishes_are_bounded() {
    let place = Place::new();
    let names: Vec<String> = (0..MAX_WANTED + 9).map(|nth| format!("c{nth}/source/Sources")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    place.learn_release(&files);
    for name in &names {
        place.catalog.record_wanted(HOST, &format!("/debian/dists/sid/{name}")).unwrap();
    }
    assert_eq!(place.count("wanted_index"), MAX_WANTED as i64);
}

#[test]
fn cached_files_that_an_index_lists_may_go_to_peers_whichever_came_first() {
    use std::os::unix::fs::FileExt as _;

    let place = Place::new();
    let cache_dir = tempfile::tempdir().unwrap();
    let cache = crate::cache::Cache::open(cache_dir.path(), 1 << 20, Arc::clone(&place.database)).unwrap();
    let put = |content: &str| {
        let partial = cache.create_partial().unwrap();
        partial.file().write_all_at(content.as_bytes(), 0).unwrap();
        cache.commit(partial, hashed(content), false).unwrap();
        Sha256::of(content.as_bytes())
    };
    let (package, private) = (put("a package"), put("somebody's letter"));
    let index = packages(&[("pool/a.deb", "a package")]);
    let index_file = put(&index);
    assert!(!cache.is_from_index(&package) && !cache.is_from_index(&index_file));
    place.learn_release(&[("main/binary-amd64/Packages", &index)]);
    assert!(cache.is_from_index(&index_file));
    place.learn_index(&index).unwrap();
    assert!(cache.is_from_index(&package));
    assert!(!cache.is_from_index(&private));
}

/// The size of Debian's main, for amd64.
#[test]
fn an_index_of_sixty_thousand_packages_is_learnt_in_seconds() {
    const PACKAGES: usize = 63_440;
    let place = Place::new();
    let mut index = String::with_capacity(16 << 20);
    for nth in 0..PACKAGES {
        let letter = char::from(b'a' + (nth * 26 / PACKAGES) as u8);
        let sha256 = Sha256::of(&nth.to_be_bytes());
        write!(
            index,
            "Package: {letter}-{nth:05}\nDepends: libc6 (>= 2.34), libstdc++6 (>= 11)\n\
             Description: one of many\n\
             Filename: pool/main/{letter}/{letter}-{nth:05}/{letter}-{nth:05}_1.0-1_amd64.deb\n\
             Size: {nth}\nSHA256: {sha256}\n\n",
        )
        .unwrap();
    }
    place.learn_release(&[("main/binary-amd64/Packages", &index)]);
    let started = Instant::now();
    place.learn_index(&index).unwrap();
    let took = started.elapsed();
    println!("learnt {PACKAGES} entries in {took:?}");
    // A second where the machine has nothing else to do.
    assert!(took.as_secs() < 20, "{took:?}");
    let started = Instant::now();
    for nth in (0..PACKAGES).step_by(64) {
        let letter = char::from(b'a' + (nth * 26 / PACKAGES) as u8);
        let path = format!("/debian/pool/main/{letter}/{letter}-{nth:05}/{letter}-{nth:05}_1.0-1_amd64.deb");
        let expected = Expected { sha256: Sha256::of(&nth.to_be_bytes()), size: nth as u64 };
        assert_eq!(place.lookup(&path), [expected], "{path}");
    }
    println!("{} look-ups in {:?}", PACKAGES / 64, started.elapsed());
    assert_eq!(place.count("index_entry"), PACKAGES as i64);
}

#[test]
fn a_wild_release_has_us_fetch_only_so_much() {
    let place = Place::new();
    let hash = "0".repeat(64);
    let mut text = "Suite: sid\nSHA256:\n".to_owned();
    writeln!(text, " {hash} {} huge/binary-amd64/Packages.xz", 1_u64 << 40).unwrap();
    for n in 0..1000 {
        writeln!(text, " {hash} 10 c{n}/binary-amd64/Packages.xz").unwrap();
    }
    writeln!(text, " {hash} 10 z/binary-riscv64/Packages.xz").unwrap();
    let suite = place.catalog.learn_release(HOST, RELEASE, text.as_bytes()).unwrap();
    let asked_for = "/debian/dists/sid/z/binary-riscv64/Packages.xz";
    place.catalog.record_wanted(HOST, asked_for).unwrap();
    let missing = place.missing(&suite);
    assert_eq!(missing.len(), MAX_WANTED);
    assert_eq!(missing[0], asked_for, "comes first");
    assert!(missing.iter().all(|path| !path.contains("huge")), "that could not be read");
}
