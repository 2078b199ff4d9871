//! The source tree as text: what is code, what is comment or literal, and what is test.
//!
//! A file is kept three times over: raw, masked (comments and literals are blank, so that a word in a sentence is not taken
//! for code), and as the ranges that only tests compile. All three have the same offsets.
//!
//! Deliberately absent: a parser. What is asked of the source is simple enough for tokens, and a check that reads text
//! sees every configuration at once.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// One file of Rust.
pub(crate) struct Source {
    /// Its path below the root, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) raw: String,
    code: String,
    tests: Vec<Range<usize>>,
    test_modules: Vec<String>,
}

impl Source {
    /// A file of this text.
    pub(crate) fn new(path: &str, raw: &str) -> Source {
        let code = mask(raw);
        let all = 0..code.len();
        let (tests, test_modules) = if path.starts_with("src/") && !code.contains("#![cfg(test)]") {
            test_items(&code)
        } else {
            (vec![all], Vec::new())
        };
        Source { path: path.to_owned(), raw: raw.to_owned(), code, tests, test_modules }
    }

    /// All code, without comments and literals.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The code that ships.
    pub(crate) fn product(&self) -> String {
        let mut bytes = self.code.clone().into_bytes();
        self.tests.iter().for_each(|range| blank(&mut bytes, range.clone()));
        text(bytes)
    }

    /// The code that only tests compile.
    pub(crate) fn test_code(&self) -> String {
        self.tests.iter().map(|range| &self.code[range.clone()]).collect()
    }

    /// The same with its comments and literals.
    pub(crate) fn test_raw(&self) -> String {
        self.tests.iter().map(|range| &self.raw[range.clone()]).collect()
    }

    /// `path:line` of an offset.
    pub(crate) fn at(&self, offset: usize) -> String {
        format!("{}:{}", self.path, self.raw[..offset].matches('\n').count() + 1)
    }

    /// The top-level module of a file below `src/`.
    pub(crate) fn module(&self) -> Option<&str> {
        let name = self.path.strip_prefix("src/")?.split('/').next()?;
        Some(name.strip_suffix(".rs").unwrap_or(name))
    }
}

/// Every Rust file below these directories; a directory that does not exist is empty.
pub(crate) fn read(root: &Path, directories: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    directories.iter().for_each(|directory| walk(root, directory, &mut paths));
    let sources = paths.iter().filter(|path| path.ends_with(".rs"));
    link(sources.map(|path| Source::new(path, &fs::read_to_string(root.join(path)).expect(path))).collect())
}

/// Marks the files that a `#[cfg(test)] mod name;` of another file names.
pub(crate) fn link(mut sources: Vec<Source>) -> Vec<Source> {
    let mut prefixes = Vec::new();
    for source in &sources {
        let directory = match source.path.rsplit_once('/') {
            Some((directory, "mod.rs" | "lib.rs" | "main.rs")) => directory.to_owned(),
            _ => source.path.trim_end_matches(".rs").to_owned(),
        };
        prefixes.extend(source.test_modules.iter().map(|name| format!("{directory}/{name}")));
    }
    for source in &mut sources {
        let below = |prefix: &String| {
            source.path.strip_prefix(prefix).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if prefixes.iter().any(below) {
            source.tests = std::iter::once(0..source.code.len()).collect();
        }
    }
    sources
}

fn walk(root: &Path, directory: &str, paths: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(directory)) else { return };
    let mut names: Vec<(String, bool)> = entries
        .map(|entry| entry.expect("an entry of the source tree"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir()))
        .collect();
    names.sort();
    for (name, is_directory) in names {
        let path = format!("{directory}/{name}");
        match is_directory {
            true if name == "target" => {}
            true => walk(root, &path, paths),
            false => paths.push(path),
        }
    }
}

/// Whether a byte can stand in an identifier.
pub(crate) fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The offsets at which a text stands that is not part of a longer word.
pub(crate) fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let whole = |at: &usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied();
        let after = bytes.get(at + word.len()).copied();
        let starts = !word.as_bytes().first().copied().is_some_and(in_word) || !before.is_some_and(in_word);
        let ends = !word.as_bytes().last().copied().is_some_and(in_word) || !after.is_some_and(in_word);
        starts && ends
    };
    code.match_indices(word).map(|(at, _)| at).filter(whole).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("whole characters were blanked")
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    bytes[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn mask(raw: &str) -> String {
    let mut bytes = raw.as_bytes().to_vec();
    let mut at = 0;
    while at < raw.len() {
        match not_code(raw, at) {
            Some(end) => {
                blank(&mut bytes, at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    text(bytes)
}

/// Where the comment or literal ends that begins here, if one does.
fn not_code(raw: &str, at: usize) -> Option<usize> {
    let bytes = raw.as_bytes();
    let rest = raw.get(at..)?;
    let end_of = |length: Option<usize>| Some(length.map_or(raw.len(), |length| at + length));
    if rest.starts_with("//") {
        return end_of(rest.find('\n'));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(bytes, at));
    }
    if rest.starts_with('"') {
        return Some(quoted(bytes, at + 1, b'"'));
    }
    if let Some(after) = rest.strip_prefix('\'') {
        let first = after.chars().next()?;
        return if first == '\\' {
            Some(quoted(bytes, at + 1, b'\''))
        } else {
            after[first.len_utf8()..].starts_with('\'').then(|| at + first.len_utf8() + 2)
        };
    }
    let starts_word = at == 0 || !in_word(bytes[at - 1]);
    let raw_string = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix)).filter(|_| starts_word)?;
    let hashes = raw_string.len() - raw_string.trim_start_matches('#').len();
    let body = raw_string[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let begins = raw.len() - body.len();
    Some(body.find(&close).map_or(raw.len(), |length| begins + length + close.len()))
}

fn quoted(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn block_comment(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The items that only tests compile, and the names of the files among them.
fn test_items(code: &str) -> (Vec<Range<usize>>, Vec<String>) {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut modules = Vec::new();
    for (start, _) in code.match_indices("#[cfg(") {
        let condition = &code[start + "#[cfg(".len()..];
        let for_tests = condition.starts_with("test)") || condition.starts_with("all(test,");
        if !for_tests || ranges.iter().any(|range| range.contains(&start)) {
            continue;
        }
        let mut item = start;
        while code[item..].starts_with("#[") {
            item = closing(code, item + 1);
            item += code[item..].len() - code[item..].trim_start().len();
        }
        let end = end_of_item(code, item);
        let declared = code[item..end].trim_end_matches(';').rsplit(' ').next().unwrap_or_default();
        if code[item..end].ends_with(';') && !words(&code[item..end], "mod").is_empty() {
            modules.push(declared.to_owned());
        }
        ranges.push(start..end);
    }
    (ranges, modules)
}

/// Behind the bracket that closes the one that stands here.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

fn end_of_item(code: &str, item: usize) -> usize {
    let mut at = item;
    while let Some(byte) = code.as_bytes().get(at) {
        match byte {
            b';' => return at + 1,
            b'{' => return closing(code, at),
            b'(' | b'[' => at = closing(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_masked_and_code_is_not() {
    let raw = "a(\"x\\\"y\"); // b\nc('\\''); d('\"'); e::<'f>(); /* g /* h */ i */ r#\"j\"k\"# l; br\"m\"; for_r\"n\"";
    let code = mask(raw);
    assert_eq!(code.len(), raw.len());
    let words: String = code.chars().filter(|c| c.is_ascii_alphabetic()).collect();
    assert_eq!(words, "acdeflforr", "of a raw string with a prefix that ends a longer word the word stays");
}

#[test]
fn what_only_tests_compile_is_told_from_the_product() {
    let raw =
        "fn a() {}\n#[cfg(test)]\n#[path = \"x\"]\nmod tests;\n#[cfg(test)]\nmod inner { fn b() { c[0]; } }\nfn d() {}";
    let sources = link(vec![Source::new("src/m/mod.rs", raw), Source::new("src/m/tests.rs", "fn e() {}")]);
    let product = sources[0].product();
    assert!(product.contains("fn a()") && product.contains("fn d()") && !product.contains("fn b()"), "{product}");
    assert!(sources[0].test_code().contains("fn b()"));
    assert_eq!(sources[1].product().trim(), "");
    assert_eq!(sources[0].at(raw.find("mod tests").unwrap()), "src/m/mod.rs:4");
}
