//! `cargo xtask repeated`: lists places in the tree that have lines in common, so that no helper is written twice.
//!
//! A run is a sequence of at least [`LINES`] lines that occurs identically in two places. White space is folded. Blank
//! lines, comments, lines of punctuation, imports, and the heads of functions (which traits dictate) do not count. Two
//! files may share runs only if `xtask/repeated.txt` names the pair with a reason. A test checks both directions: no
//! pair without a reason, and no reason without a pair.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// The minimum number of lines of a run.
const LINES: usize = 6;

/// The permitted pairs, one per line and sorted by name: `FILE ~ FILE: REASON`. A file may be paired with itself.
const ALLOWED: &str = include_str!("../repeated.txt");

/// A line that counts: its number, starting at 1, and its text with white space folded.
type Line = (usize, String);

/// A run that occurs twice: its first and last line in each of the two files.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    left: (usize, usize),
    right: (usize, usize),
}

/// The runs that two files share, keyed by the files' names in order.
type Pairs = BTreeMap<(String, String), Vec<Run>>;

/// Prints the repetitions in the tree, and fails if one has no reason.
pub(crate) fn list() -> Result<(), String> {
    let listing = Listing::new()?;
    print!("{listing}");
    let faults = listing.faults();
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("without a reason:\n{}", faults.join("\n")))
}

/// The repetitions in the tree.
struct Listing(Pairs);

impl Listing {
    /// Reads the tree.
    fn new() -> Result<Self, String> {
        let mut paths = Vec::new();
        sources(&crate::root(), &mut paths).map_err(|error| error.to_string())?;
        paths.sort();
        let mut files = Vec::new();
        for path in &paths {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.strip_prefix(crate::root()).unwrap_or(path);
            files.push((name.display().to_string(), lines(&text)));
        }
        Ok(Self(pairs(&files)))
    }

    /// The faults: pairs without a reason, and reasons without a pair.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut allowed = HashSet::new();
        for line in ALLOWED.lines().filter(|line| !line.starts_with('#')) {
            let parts = line
                .split_once(": ")
                .and_then(|(pair, _)| pair.split_once(" ~ "));
            match parts {
                Some((left, right)) => allowed.insert((left.to_owned(), right.to_owned())),
                None => return vec![format!("not FILE ~ FILE: REASON: {line}")],
            };
        }
        for (pair, runs) in &self.0 {
            if !allowed.remove(pair) {
                faults.extend(runs.iter().map(|run| shown(pair, run)));
            }
        }
        faults.extend(
            allowed
                .iter()
                .map(|(left, right)| format!("{left} ~ {right}: they share nothing any more")),
        );
        faults
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (pair, runs) in &self.0 {
            for run in runs {
                writeln!(f, "{}", shown(pair, run))?;
            }
        }
        Ok(())
    }
}

fn shown((left, right): &(String, String), run: &Run) -> String {
    let (a, b) = (run.left, run.right);
    format!("{left}:{}-{} ~ {right}:{}-{}", a.0, a.1, b.0, b.1)
}

/// Collects the source files below a folder, except hidden files and build output.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type()?;
        let script = || folder.ends_with("scripts") && !name.contains('.');
        let ending = |ending: &str| path.extension().is_some_and(|found| found == ending);
        if kind.is_dir() {
            sources(&path, into)?;
        } else if kind.is_file() && (["rs", "h", "cc", "py"].into_iter().any(ending) || script()) {
            into.push(path);
        }
    }
    Ok(())
}

/// The lines of a text that count.
fn lines(text: &str) -> Vec<Line> {
    let folded = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut in_head = false;
    let mut counts = |line: &str| {
        let comment = ["//", "#", "*", "/*"];
        let import = ["use ", "pub use ", "mod ", "pub mod ", "import ", "from "];
        let was_in_head = in_head || line.starts_with("fn ") || line.starts_with("pub fn ");
        in_head = was_in_head && !line.ends_with(['{', ';', '}']);
        !was_in_head
            && line.contains(char::is_alphanumeric)
            && !comment.iter().any(|start| line.starts_with(start))
            && !import.iter().any(|start| line.starts_with(start))
    };
    (1..)
        .zip(text.lines().map(folded))
        .filter(|(_, line)| counts(line))
        .collect()
}

/// The runs that files share. Each file is given by its name and its lines.
fn pairs(files: &[(String, Vec<Line>)]) -> Pairs {
    let mut places: HashMap<Vec<&str>, Vec<(usize, usize)>> = HashMap::new();
    for (file, (_, lines)) in files.iter().enumerate() {
        for (at, window) in lines.windows(LINES).enumerate() {
            let window = window.iter().map(|(_, text)| text.as_str()).collect();
            places.entry(window).or_default().push((file, at));
        }
    }
    let mut shared = HashSet::new();
    for places in places.values() {
        for (index, left) in places.iter().enumerate() {
            for right in &places[index + 1..] {
                if left.0 != right.0 || left.1 + LINES <= right.1 {
                    shared.insert((*left, *right));
                }
            }
        }
    }
    let mut pairs = Pairs::new();
    for (left, right) in &shared {
        let before = |place: &(usize, usize)| Some((place.0, place.1.checked_sub(1)?));
        if let (Some(a), Some(b)) = (before(left), before(right)) {
            if shared.contains(&(a, b)) {
                continue;
            }
        }
        let next = |count: usize| ((left.0, left.1 + count), (right.0, right.1 + count));
        let more = (1..).take_while(|count| shared.contains(&next(*count)));
        let len = LINES + more.count();
        let range = |place: &(usize, usize)| {
            let lines = &files[place.0].1;
            (lines[place.1].0, lines[place.1 + len - 1].0)
        };
        let names = (files[left.0].0.clone(), files[right.0].0.clone());
        let run = Run {
            left: range(left),
            right: range(right),
        };
        pairs.entry(names).or_default().push(run);
    }
    pairs.values_mut().for_each(|runs| runs.sort());
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_has_its_reason() {
        let faults = Listing::new().unwrap().faults();
        assert!(
            faults.is_empty(),
            "give each a home of its own, or a reason in xtask/repeated.txt:\n{}",
            faults.join("\n")
        );
    }

    #[test]
    fn a_run_is_found_whatever_stands_between_its_lines() {
        let body = "let a = 1;\nlet b = 2;\nlet c = 3;\nlet d = 4;\nlet e = 5;\n";
        let left = format!("// one\nfn left() {{\n{body}let f = 6;\nlet g = 7;\n}}\n");
        let right = format!("{}\n  let  f = 6;\n", body.replace('\n', "\n\n// more\n"));
        let file = |name: &str, text: &str| (name.to_owned(), lines(text));
        let found = pairs(&[file("left", &left), file("right", &right)]);
        let run = Run {
            left: (3, 8),
            right: (1, 17),
        };
        let names = ("left".to_owned(), "right".to_owned());
        assert_eq!(found, Pairs::from([(names, vec![run])]));
        // Five lines are too few.
        assert!(pairs(&[file("left", &left), file("right", body)]).is_empty());
        // A line that is repeated consecutively does not count as a run that the file shares with itself.
        assert!(pairs(&[file("same", &"same();\n".repeat(2 * LINES - 1))]).is_empty());
    }
}
