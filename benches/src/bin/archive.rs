//! An archive to measure proxies with: `archive DIRECTORY` makes one in it, the same on every
//! machine. It has the packages `bulk01` to `bulk60`, 200 MB in the mix of sizes that Debian's
//! have, `speck001` to `speck300`, of less than 20 kB each, `file20k` and `file50m`, and so many
//! more in its index as Debian's has. Nothing is packed in them: apt fetches and checks them, and
//! nobody installs them. Needs `xz`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// The unit in which peers exchange files, in bytes.
const PIECE: u64 = 524_288;
/// What the packages of the first kind have together, in bytes.
const BULK_BYTES: u64 = 200_000_000;
/// Packages in the index of Debian 12's main.
const LISTED: usize = 63_440;

/// A package: its name, and how many bytes its file has.
type Package = (String, u64);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("archive DIRECTORY")?;
    let debian = PathBuf::from(directory).join("debian");
    let packages: Vec<Package> = bulk().into_iter().chain(specks()).chain(singles()).collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let index_path = format!("main/binary-{}/Packages", architecture()?);
    let suite = debian.join("dists/stable");
    let index = suite.join(&index_path);
    fs::create_dir_all(index.parent().unwrap_or(&suite))?;
    let mut listed = BufWriter::new(File::create(&index)?);
    for (name, size) in &packages {
        let path = pool_path(name);
        let sha256 = write_file(&debian.join(&path), *size, &mut random)?;
        write_entry(&mut listed, name, &path, *size, &sha256, &mut random)?;
    }
    for n in packages.len()..LISTED {
        let (name, size) = (format!("other-{n}-{:x}", random.next() >> 44), random.next() >> 44);
        let sha256: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        write_entry(&mut listed, &name, &pool_path(&name), size, &sha256, &mut random)?;
    }
    listed.flush()?;
    drop(listed);
    // Its dictionary is that of Debian's indexes, which decides what memory it takes to read one.
    let packed = Command::new("xz").args(["-kf", "--lzma2=preset=1,dict=8MiB"]).arg(&index).status()?;
    if !packed.success() {
        return Err("xz failed".into());
    }
    write_release(&suite, &index_path)?;
    Ok(())
}

/// 38 files of one piece, 8 of 2 to 4, 11 of 5 to 70 and 3 of more, in an order of no meaning.
fn bulk() -> Vec<Package> {
    let spread = |count: u64, from: u64, to: u64| {
        let ratio = (to as f64 / from as f64).powf(1.0 / (count - 1) as f64);
        (0..count).map(move |n| (from as f64 * ratio.powf(n as f64)) as u64)
    };
    let mut sizes: Vec<u64> = spread(38, 1_500, PIECE).collect();
    sizes.extend(spread(8, PIECE + 1, 4 * PIECE));
    sizes.extend(spread(11, 4 * PIECE + 1, 28 * PIECE));
    let rest = BULK_BYTES - sizes.iter().sum::<u64>();
    let third = rest / 3;
    sizes.extend([third - 1_000_000, third, rest - 2 * third + 1_000_000]);
    // 37 has no divisor in common with 60: each comes once.
    let shuffled = (0..sizes.len()).filter_map(|n| sizes.get(n * 37 % sizes.len()).copied());
    shuffled.enumerate().map(|(n, size)| (format!("bulk{:02}", n + 1), size)).collect()
}

fn specks() -> impl Iterator<Item = Package> {
    (1..=300).map(|n| (format!("speck{n:03}"), 500 + n * 7919 % 19_000))
}

fn singles() -> [Package; 2] {
    [("file20k".into(), 20_000), ("file50m".into(), 50_000_000)]
}

fn pool_path(name: &str) -> String {
    format!("pool/main/{}/{name}/{name}_1.0_all.deb", name.get(..1).unwrap_or_default())
}

/// Writes `size` random bytes and gives their hash.
fn write_file(path: &Path, size: u64, random: &mut Random) -> io::Result<[u8; 32]> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut content = Vec::with_capacity(size as usize + 8);
    while (content.len() as u64) < size {
        content.extend_from_slice(&random.next().to_le_bytes());
    }
    content.truncate(size as usize);
    fs::write(path, &content)?;
    Ok(Sha256::digest(&content).into())
}

/// An entry as long as Debian's are on average.
fn write_entry(
    index: &mut impl io::Write,
    name: &str,
    path: &str,
    size: u64,
    sha256: &[u8; 32],
    random: &mut Random,
) -> io::Result<()> {
    let words: Vec<String> = (0..48).map(|_| format!("word{}", random.next() >> 54)).collect();
    write!(
        index,
        "Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@test.invalid>\n\
         Installed-Size: {}\nDescription: {}\nSection: misc\nPriority: optional\n\
         Filename: {path}\nSize: {size}\nSHA256: {}\n\n",
        size / 1024,
        words.join(" "),
        hex(sha256)
    )
}

fn write_release(suite: &Path, index_path: &str) -> io::Result<()> {
    let mut release = String::from(
        "Origin: Bench\nSuite: stable\nCodename: stable\nDate: Wed, 01 Jan 2025 00:00:00 UTC\n\
         Acquire-By-Hash: yes\nComponents: main\nSHA256:\n",
    );
    for name in [index_path.to_owned(), format!("{index_path}.xz")] {
        let content = fs::read(suite.join(&name))?;
        let sha256 = hex(&Sha256::digest(&content).into());
        let by_hash = suite.join(&name).with_file_name("by-hash/SHA256");
        fs::create_dir_all(&by_hash)?;
        fs::write(by_hash.join(&sha256), &content)?;
        release += &format!(" {sha256} {} {name}\n", content.len());
    }
    fs::write(suite.join("Release"), release)
}

fn architecture() -> io::Result<String> {
    let told = Command::new("dpkg").arg("--print-architecture").output()?;
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// xorshift64*: no more than incompressible is asked of it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
