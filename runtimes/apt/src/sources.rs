//! The machine's apt sources: which archives it uses (sources.list(5)).
//!
//! Text in, archives out: the daemon reads the files and knows which are in use. What
//! cannot be used is reported, not fatal: apt is the judge of its own configuration.

use std::fmt;

use crate::url::Upstream;

/// The most sources that are taken from one file, URIs times suites counted.
pub const MAX_SOURCES: usize = 4096;

/// What a file of sources says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// One for each type, URI and suite, in the order of the file. Disabled ones are not
    /// among them.
    pub sources: Vec<Source>,
    /// What could not be used, in the order of the file.
    pub problems: Vec<Problem>,
}

/// One suite of one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Packages or sources of packages.
    pub kind: SourceKind,
    /// The archive's root: its path has no `/` at the end, and is empty at the top.
    pub archive: Upstream,
    /// As it is written. Ends with `/` in a flat archive.
    pub suite: String,
    /// Empty in a flat archive.
    pub components: Vec<String>,
    /// Empty: those of the machine.
    pub architectures: Vec<String>,
}

/// The type of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// `deb`
    Binary,
    /// `deb-src`
    Source,
}

/// Something that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl Sources {
    /// Reads the one-line format of `.list` files:
    /// `deb [arch=amd64] http://mirror/debian bookworm main`.
    #[must_use]
    pub fn parse_list(text: &str) -> Self {
        let mut sources = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match ListLine::parse(line) {
                Ok(parsed) => sources.add(number, &parsed),
                Err(problem) => sources.problem(number, problem),
            }
        }
        sources
    }

    /// Reads the deb822 format of `.sources` files.
    #[must_use]
    pub fn parse_deb822(text: &str) -> Self {
        let mut sources = Self::default();
        let mut stanza = Stanza::default();
        for (line, number) in text.lines().zip(1..) {
            let indented = line.starts_with([' ', '\t']);
            match line.trim() {
                comment if comment.starts_with('#') => {}
                "" => sources.end_stanza(std::mem::take(&mut stanza)),
                more if indented => stanza.more(more),
                line => match line.split_once(':') {
                    Some((name, value)) => stanza.field(number, name, value),
                    None => sources.problem(number, "neither a field nor part of one"),
                },
            }
        }
        sources.end_stanza(stanza);
        sources
    }

    fn end_stanza(&mut self, stanza: Stanza) {
        if stanza.line == 0 || !stanza.enabled() {
            return;
        }
        for missing in ["Types", "URIs", "Suites"] {
            if stanza.words(missing).next().is_none() {
                return self.problem(stanza.line, format!("the stanza has no {missing}"));
            }
        }
        for kind in stanza.words("Types") {
            for uri in stanza.words("URIs") {
                for suite in stanza.words("Suites") {
                    let components = stanza.words("Components").collect();
                    let architectures = stanza.words("Architectures").collect();
                    self.add(stanza.line, &ListLine { kind, uri, suite, components, architectures });
                    if self.sources.len() + self.problems.len() >= MAX_SOURCES {
                        return self.problem(stanza.line, "too many sources: the rest is unread");
                    }
                }
            }
        }
    }

    fn add(&mut self, line: usize, parsed: &ListLine<'_>) {
        match parsed.source() {
            Ok(source) if self.sources.len() < MAX_SOURCES => self.sources.push(source),
            Ok(_) => {}
            Err(problem) => self.problem(line, problem),
        }
    }

    fn problem(&mut self, line: usize, text: impl Into<String>) {
        if self.problems.len() < MAX_SOURCES {
            self.problems.push(Problem { line, text: text.into() });
        }
    }
}

/// What the one-line format has room for.
struct ListLine<'a> {
    kind: &'a str,
    uri: &'a str,
    suite: &'a str,
    components: Vec<&'a str>,
    architectures: Vec<&'a str>,
}

impl<'a> ListLine<'a> {
    fn parse(line: &'a str) -> Result<Self, &'static str> {
        const SHAPE: &str = "a source is: deb or deb-src, [options], URI, suite, components";
        let (kind, rest) = line.split_once(char::is_whitespace).ok_or(SHAPE)?;
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("the options have no \"]\" at their end")?,
            None => ("", rest),
        };
        let architectures = options
            .split_whitespace()
            .filter_map(|option| option.strip_prefix("arch="))
            .flat_map(|list| list.split(','))
            .filter(|architecture| !architecture.is_empty())
            .collect();
        let mut words = rest.split_whitespace();
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else { return Err(SHAPE) };
        Ok(Self { kind, uri, suite, components: words.collect(), architectures })
    }

    fn source(&self) -> Result<Source, String> {
        let kind = match self.kind {
            "deb" => SourceKind::Binary,
            "deb-src" => SourceKind::Source,
            other => return Err(format!("type {other:?} is neither deb nor deb-src")),
        };
        let mut archive = Upstream::parse(self.uri).map_err(|e| format!("{:?}: {e}", self.uri))?;
        archive.path.truncate(archive.path.trim_end_matches('/').len());
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Ok(Source {
            kind,
            archive,
            suite: self.suite.to_owned(),
            components: owned(&self.components),
            architectures: owned(&self.architectures),
        })
    }
}

/// One stanza of the deb822 format.
#[derive(Default)]
struct Stanza {
    /// Of its first field; 0 if it has none.
    line: usize,
    fields: Vec<(String, String)>,
}

impl Stanza {
    fn field(&mut self, line: usize, name: &str, value: &str) {
        if self.line == 0 {
            self.line = line;
        }
        self.fields.push((name.trim().to_owned(), value.to_owned()));
    }

    fn more(&mut self, value: &str) {
        if let Some((_, known)) = self.fields.last_mut() {
            known.push(' ');
            known.push_str(value);
        }
    }

    fn value(&self, name: &str) -> &str {
        let mut fields = self.fields.iter();
        let field = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        field.map_or("", |(_, value)| value.trim())
    }

    fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.value(name).split_whitespace()
    }

    fn enabled(&self) -> bool {
        let value = self.value("Enabled").to_ascii_lowercase();
        !matches!(value.as_str(), "no" | "false" | "without" | "off" | "disable" | "0")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use khashmir_testing::quickcheck;

    /// Each source on a line.
    fn shown(parsed: &Sources) -> Vec<String> {
        let show = |source: &Source| {
            format!(
                "{:?} {} {} {} {}",
                source.kind,
                source.archive,
                source.suite,
                source.components.join(","),
                source.architectures.join(",")
            )
        };
        parsed.sources.iter().map(show).collect()
    }

    fn problems(parsed: &Sources) -> Vec<String> {
        parsed.problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn one_line_sources_are_read() {
        let parsed = Sources::parse_list(
            "# comment\n\n\
             deb http://Mirror.Example/debian/ bookworm main contrib # old\n\
             deb-src [ arch=amd64,i386 signed-by=/k.gpg ] https://m.example:8443 sid/updates main\n\
             deb [trusted=yes]\thttp://127.0.0.1:9977/flat ./\n",
        );
        assert_eq!(
            shown(&parsed),
            [
                "Binary http://mirror.example/debian bookworm main,contrib ",
                "Source https://m.example:8443 sid/updates main amd64,i386",
                "Binary http://127.0.0.1:9977/flat ./  ",
            ]
        );
        assert_eq!(parsed.problems, []);
    }

    #[test]
    fn deb822_sources_are_multiplied_out() {
        let parsed = Sources::parse_deb822(
            "# comment\nTypes: deb deb-src\nURIs: http://a.example/debian\n  http://HTTPS///b.example/\n\
             Suites: sid\nComponents: main\n contrib\n# in between\nArchitectures: amd64\n\
             Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n\n\n\
             enabled: no\nTypes: deb\nURIs: http://c.example\nSuites: sid\n \t\n\
             Types: deb\nuris: http://d.example\nSuites: a b/\n",
        );
        assert_eq!(
            shown(&parsed),
            [
                "Binary http://a.example/debian sid main,contrib amd64",
                "Binary https://b.example sid main,contrib amd64",
                "Source http://a.example/debian sid main,contrib amd64",
                "Source https://b.example sid main,contrib amd64",
                "Binary http://d.example a  ",
                "Binary http://d.example b/  ",
            ]
        );
        assert_eq!(parsed.problems, []);
    }

    #[test]
    fn what_cannot_be_used_is_reported_and_the_rest_read() {
        let parsed = Sources::parse_list(
            "deb\nrpm http://m/ s c\ndeb [arch=x http://m/ s c\ndeb file:/srv/debian s c\n\
             deb mirror+http://m/list s c\ndeb cdrom:[Debian 12]/ s c\ndeb http://m/ s c\n",
        );
        assert_eq!(shown(&parsed), ["Binary http://m s c "]);
        let lines: Vec<_> = parsed.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6]);

        let parsed = Sources::parse_deb822("Types: deb\nSuites: s\n\n<html>\n");
        assert_eq!(
            problems(&parsed),
            ["line 1: the stanza has no URIs", "line 4: neither a field nor part of one"]
        );
    }

    #[test]
    fn a_file_that_multiplies_is_bounded() {
        let many = "x ".repeat(1000);
        let uris = "http://m/ ".repeat(1000);
        let text = format!("Types: deb\nURIs: {uris}\nSuites: {many}\n");
        let parsed = Sources::parse_deb822(&text);
        assert_eq!((parsed.sources.len(), parsed.problems.len()), (MAX_SOURCES, 1));
        let parsed = Sources::parse_deb822(&text.replace("http:", "ftp:"));
        assert_eq!((parsed.sources.len(), parsed.problems.len()), (0, MAX_SOURCES));
    }

    quickcheck! {
        fn any_text_is_read_without_panic(text: String) -> bool {
            let list = Sources::parse_list(&format!("deb [{text}\n{text}] http://{text}"));
            let deb822 = Sources::parse_deb822(&format!("{text}\nURIs:{text}\n {text}\n\n{text}"));
            list.sources.len() + deb822.sources.len() <= 2 * MAX_SOURCES
        }
    }
}
