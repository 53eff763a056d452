//! Lists of digests, as `digest`, b3sum, xxhsum and coreutils' tools write them, and the files that they name.
//!
//! A row is `DIGEST  PATH` (or with a space and `*` for "binary", or, in a list of BSD's `-r`, a single space), or
//! `ALGORITHM (PATH) = DIGEST`, or OpenSSL's `ALGORITHM(PATH)= DIGEST`. If a row begins with a backslash, its path is
//! escaped. White space before a row is ignored, and so are empty lines and lines that begin with `#`; lines may end
//! with CR LF, and the last line end is optional.

use super::algorithm::{Algorithm, Algorithms, Digest};
use super::check::Check;
use crate::jobs::names;
use crate::setters::setters;
use crate::source::{is_early, is_url, Ended, Entry, Item, LiveList, Named, Names, Source, Stores};
use gristmill_ring::lock;
use std::io::BufRead;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// How a list names standard input, as coreutils' tools do.
pub(super) const STDIN: &str = "-";

/// The longest line that a list may hold: no path with its digest is longer, even when it is escaped.
const MAX_LINE_BYTES: u64 = 1 << 16;

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    algorithm: Algorithm,
    digest: Digest,
    path: PathBuf,
    /// Whether nothing but the length of the digest says that it is BLAKE3's.
    guessed: bool,
}

/// Why a line is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refused {
    /// It has not the form of one.
    Malformed,
    /// Its digest may be of several algorithms.
    Ambiguous(Vec<Algorithm>),
}

/// How the lines of a list are taken.
#[derive(Debug, Default)]
struct Rows {
    /// The algorithms that digests may be of; `None` where the list decides.
    algorithms: Option<Algorithms>,
    /// Whether plain rows have one space between digest and path, as those of BSD's `-r`. The first row that has either
    /// format decides for the whole list, as in coreutils' tools.
    reversed: Option<bool>,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn without_blanks(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_blank(*byte));
    &line[start.unwrap_or(line.len())..]
}

/// The path that a row has; `None` where its escapes are unknown.
fn path(bytes: &[u8], escaped: bool) -> Option<PathBuf> {
    if bytes.is_empty() {
        None
    } else if escaped {
        names::unescaped(bytes)
    } else {
        Some(PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec())))
    }
}

impl Rows {
    fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithms
            .is_none_or(|these| these.contains(algorithm))
    }

    fn parse(&mut self, line: &[u8]) -> Result<Row, Refused> {
        let line = without_blanks(line);
        let (escaped, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        for algorithm in Algorithm::ALL {
            let Some(rest) = line.strip_prefix(algorithm.tag().as_bytes()) else {
                continue;
            };
            if let Some(rest) = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"(") {
                let row = tagged(algorithm, rest, escaped).filter(|_| self.takes(algorithm));
                return row.ok_or(Refused::Malformed);
            }
        }
        self.plain(line, escaped)
    }

    /// Reads a row that begins with its digest.
    fn plain(&mut self, line: &[u8], escaped: bool) -> Result<Row, Refused> {
        // Newer releases of xxhsum mark the digests of XXH3 so, because those of XXH64 have the same length.
        let marked = line.strip_prefix(b"XXH3_");
        let line = marked.unwrap_or(line);
        let digits = line.iter().position(|byte| is_blank(*byte));
        let digits = digits.ok_or(Refused::Malformed)?;
        let digest = Digest::from_hex(&line[..digits]).ok_or(Refused::Malformed)?;
        let algorithm = self.algorithm(digest.as_bytes().len(), marked.is_some())?;
        let (path_bytes, reversed) = match &line[digits + 1..] {
            // The second character says text or binary, which makes no difference here.
            [b' ' | b'*', path @ ..] if !path.is_empty() && self.reversed != Some(true) => {
                (path, false)
            }
            path if self.reversed != Some(false) => (path, true),
            _ => return Err(Refused::Malformed),
        };
        let path = path(path_bytes, escaped).ok_or(Refused::Malformed)?;
        self.reversed = Some(reversed);
        Ok(Row {
            algorithm,
            digest,
            path,
            guessed: algorithm == Algorithm::Blake3 && self.algorithms.is_none(),
        })
    }

    /// The algorithm of a digest of this many bytes that stands without a name.
    fn algorithm(&self, bytes: usize, marked: bool) -> Result<Algorithm, Refused> {
        use Algorithm::{Blake3, Xxh3_64};
        let of_length = |algorithm: &Algorithm| algorithm.bytes() == bytes;
        if marked {
            let xxh3 = Some(Xxh3_64).filter(|xxh3| of_length(xxh3) && self.takes(*xxh3));
            return xxh3.ok_or(Refused::Malformed);
        }
        let found: Vec<Algorithm> = match &self.algorithms {
            Some(these) => these.iter().filter(of_length).collect(),
            // What `digest` writes where nothing else is asked for.
            None if of_length(&Blake3) => vec![Blake3],
            // Plain rows of xxhsum with so many digits are those of XXH64.
            None => Algorithm::ALL
                .into_iter()
                .filter(|algorithm| of_length(algorithm) && *algorithm != Xxh3_64)
                .collect(),
        };
        match *found {
            [] => Err(Refused::Malformed),
            [algorithm] => Ok(algorithm),
            _ => Err(Refused::Ambiguous(found)),
        }
    }
}

/// Reads the rest of a tagged row, behind the opening parenthesis. As in coreutils' tools, the path ends with the last
/// parenthesis.
fn tagged(algorithm: Algorithm, rest: &[u8], escaped: bool) -> Option<Row> {
    let close = rest.iter().rposition(|byte| *byte == b')')?;
    let digits = without_blanks(&rest[close + 1..]).strip_prefix(b"=")?;
    let digest = Digest::from_hex(without_blanks(digits))?;
    let path = path(&rest[..close], escaped)?;
    (digest.as_bytes().len() == algorithm.bytes()).then_some(Row {
        algorithm,
        digest,
        path,
        guessed: false,
    })
}

/// The files that a list of digests names.
pub struct DigestList {
    reader: Box<dyn BufRead + Send>,
    name: PathBuf,
    line: u64,
    /// The part of the next line that has been read so far.
    begun: Vec<u8>,
    /// The list to wait for when the reader has nothing yet.
    awaited: Option<LiveList>,
    rows: Rows,
    /// Entries that were given.
    given: u64,
    /// Whether a message is given for each malformed line.
    warn: bool,
    /// Whether files that do not exist are passed over.
    ignore_missing: bool,
    check: Arc<Check>,
    ended: bool,
    /// The stores of URLs, if paths may be URLs.
    stores: Option<Arc<dyn Stores>>,
}

impl DigestList {
    pub(super) fn new(
        list: impl BufRead + Send + 'static,
        name: PathBuf,
        algorithms: Option<Algorithms>,
        check: Arc<Check>,
    ) -> Self {
        Self {
            reader: Box::new(list),
            name,
            line: 0,
            begun: Vec::new(),
            awaited: None,
            rows: Rows {
                algorithms,
                reversed: None,
            },
            given: 0,
            warn: false,
            ignore_missing: false,
            check,
            ended: false,
            stores: None,
        }
    }

    setters! {
        /// Lets the source wait until more of its reader's list has come.
        awaiting(list: LiveList) { awaited = Some(list) }

        /// Gives a notice for each malformed line.
        warn(warn: bool) { warn = warn }

        /// Passes over files that do not exist.
        ignore_missing(ignore: bool) { ignore_missing = ignore }
    }

    fn problem(&self, what: &str) -> Item {
        Item::Error {
            path: Some(self.name.clone()),
            reason: format!("line {}: {what}", self.line),
        }
    }

    /// The next line, without its end; otherwise what is to be given instead of an entry.
    fn next_line(&mut self) -> Result<Vec<u8>, Option<Item>> {
        let left = MAX_LINE_BYTES.saturating_sub(self.begun.len() as u64);
        let mut limited = std::io::Read::take(&mut self.reader, left);
        if let Err(error) = limited.read_until(b'\n', &mut self.begun) {
            if is_early(&error) {
                return Err(Some(Item::Later));
            }
            self.ended = true;
            let told = !Ended::is_said_by(&error);
            return Err(told.then(|| Item::Error {
                path: Some(self.name.clone()),
                reason: format!("cannot read the list: {error}"),
            }));
        }
        let mut line = std::mem::take(&mut self.begun);
        if line.is_empty() {
            self.ended = true;
            return Err(None);
        }
        self.line += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == MAX_LINE_BYTES {
            self.ended = true;
            return Err(Some(self.problem(
                "longer than any path; a row is a digest, two spaces and a path, or ALGORITHM (PATH) = DIGEST",
            )));
        }
        // This CR belongs to the line end: `names::escaped` writes a path's final CR as an escape.
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// What to give for a line that is no row, if anything.
    fn refused(&mut self, refused: &Refused) -> Option<Item> {
        match refused {
            Refused::Malformed => {
                self.check.malformed.fetch_add(1, Ordering::Relaxed);
                self.warn.then(|| {
                    Item::Notice(format!(
                        "{}: line {}: improperly formatted; a row is a digest, two spaces and a path, or ALGORITHM \
                         (PATH) = DIGEST",
                        self.name.display(),
                        self.line
                    ))
                })
            }
            Refused::Ambiguous(algorithms) => {
                self.ended = true;
                let names: Vec<&str> = algorithms.iter().map(|of| of.name()).collect();
                Some(self.problem(&format!(
                    "a digest of this length may be of {}; choose one with --algorithm",
                    names.join(" or ")
                )))
            }
        }
    }

    /// Lets paths be URLs of objects, which these stores read. Default: URLs are paths.
    #[must_use]
    pub fn objects(mut self, stores: Arc<dyn Stores>) -> Self {
        self.stores = Some(stores);
        self
    }

    /// The entry of a row.
    fn entry(&self, path: PathBuf) -> Entry {
        match Named::of(path, self.stores.as_deref(), Names::Objects) {
            Named::Path(path) => Entry::listed(path),
            Named::Remote(remote) => remote.one(),
            // No file has an empty name, so it counts as one that cannot be read.
            Named::Refused(_) => Entry::named("<invalid URL>"),
        }
    }
}

impl Source for DigestList {
    fn next_item(&mut self) -> Option<Item> {
        while !self.ended {
            let line = match self.next_line() {
                Ok(line) => line,
                Err(instead) => return instead,
            };
            if line.is_empty() || line.first() == Some(&b'#') {
                continue;
            }
            let row = match self.rows.parse(&line) {
                Ok(row) => row,
                Err(refused) => match self.refused(&refused) {
                    Some(item) => return Some(item),
                    None => continue,
                },
            };
            let stdin = row.path == Path::new(STDIN);
            if stdin && self.name == row.path {
                self.check.unread.fetch_add(1, Ordering::Relaxed);
                return Some(self.problem("names standard input, which is the list itself"));
            }
            let is_path = !stdin && (self.stores.is_none() || !is_url(&row.path));
            if self.ignore_missing && is_path && is_missing(&row.path) {
                self.check.missing.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if row.guessed {
                self.check.guessed.store(true, Ordering::Relaxed);
            }
            lock(&self.check.expected).insert(self.given, (row.algorithm, row.digest));
            self.given += 1;
            return Some(Item::Entry(self.entry(row.path)));
        }
        None
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        self.awaited.as_ref().is_none_or(|list| list.wait(timeout))
    }
}

fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(algorithms: &[Algorithm]) -> Rows {
        let algorithms = (!algorithms.is_empty()).then(|| algorithms.iter().copied().collect());
        Rows {
            algorithms,
            reversed: None,
        }
    }

    fn parsed(algorithms: &[Algorithm], line: &str) -> Result<(Algorithm, String), Refused> {
        let row = rows(algorithms).parse(line.as_bytes())?;
        Ok((row.algorithm, row.path.display().to_string()))
    }

    #[test]
    fn the_algorithm_is_found_by_name_or_by_length_where_that_is_certain() {
        use Algorithm::{Blake3, Crc32c, Md5, Sha1, Sha256, Xxh3_128, Xxh3_64};
        let plain = |digits: usize| format!("{}  f", "0".repeat(digits));
        let found = |algorithm| Ok((algorithm, "f".to_owned()));
        for (digits, algorithm) in [(8, Crc32c), (40, Sha1), (64, Blake3)] {
            assert_eq!(parsed(&[], &plain(digits)), found(algorithm));
        }
        let ambiguous = Err(Refused::Ambiguous(vec![Xxh3_128, Md5]));
        assert_eq!(parsed(&[], &plain(32)), ambiguous);
        assert_eq!(parsed(&[], &plain(16)), Err(Refused::Malformed));
        assert_eq!(parsed(&[Xxh3_64], &plain(16)), found(Xxh3_64));
        assert_eq!(parsed(&[Sha256], &plain(64)), found(Sha256));
        assert_eq!(parsed(&[Sha256, Md5], &plain(32)), found(Md5));
        assert_eq!(parsed(&[Sha256], &plain(32)), Err(Refused::Malformed));
        let ambiguous = Err(Refused::Ambiguous(vec![Sha256, Blake3]));
        assert_eq!(parsed(&[Sha256, Blake3], &plain(64)), ambiguous);
        let marked = format!("XXH3_{}", plain(16));
        assert_eq!(parsed(&[], &marked), found(Xxh3_64));
        assert_eq!(parsed(&[Md5], &marked), Err(Refused::Malformed));
        for algorithm in Algorithm::ALL {
            let digits = "a".repeat(2 * algorithm.bytes());
            let tag = algorithm.tag();
            for row in [
                format!("{tag} (f) = {digits}"),
                format!("{tag}(f)= {digits}"),
            ] {
                assert_eq!(parsed(&[], &row), found(algorithm));
                assert_eq!(parsed(&[algorithm], &row), found(algorithm));
                assert_eq!(parsed(&[Sha256], &row).is_ok(), algorithm == Sha256);
            }
        }
    }

    #[test]
    fn what_has_not_the_form_of_a_row_is_none() {
        for line in [
            "nonsense",
            "0123456  f",
            "0123456789  f",
            "0123456g  f",
            "+1234567  f",
            "01234567",
            "01234567 ",
            "\\01234567  bad\\escape",
            "\\01234567  end\\",
            "CRC32C (f) = 0123456",
            "CRC32C (f) = 012345678",
            "CRC32C (f) 01234567",
            "CRC32C (f = 01234567",
            "CRC32C () = 01234567",
            "SHA512 (f) = 01234567",
        ] {
            assert_eq!(parsed(&[], line), Err(Refused::Malformed), "{line}");
        }
        let nested = "CRC32C (a) = (b)) = 01234567";
        assert_eq!(parsed(&[], nested).unwrap().1, "a) = (b)");
        let escaped = "\\CRC32C (a\\nb) = 01234567";
        assert_eq!(parsed(&[], escaped).unwrap().1, "a\nb");
    }
}
