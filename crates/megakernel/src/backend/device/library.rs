//! Why a driver's library cannot be used: whether it is not there, or there and does not load.
//!
//! The crates that call drivers load them, and report only that this failed. What helps is the message of the dynamic
//! loader: a file that was cut short, one for another processor, a missing library that it depends on.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file that names a driver, at most.
const ICD_BYTES: u64 = 4096;

/// Drivers that are looked at, at most.
const ICD_FILES: usize = 64;

/// What came of loading a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loading {
    Loads,
    /// There is no file of that name where the loader looks.
    Absent,
    /// There is, or something that it needs is not there. In the loader's words.
    Broken(String),
}

impl Loading {
    /// What the outcome of loading the library of this name means.
    pub fn of<T>(name: &Path, outcome: &Result<T, libloading::Error>) -> Self {
        let Err(error) = outcome else {
            return Self::Loads;
        };
        let mut innermost: &dyn Error = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self::told(&name.display().to_string(), &innermost.to_string())
    }

    /// What the words of a loader mean. One that finds no file of this name says the name and what ENOENT is called
    /// (glibc; musl says the same in front); one that misses a library which that one needs says the other's name.
    fn told(name: &str, words: &str) -> Self {
        let absent = words.contains("No such file or directory")
            && (words.starts_with(&format!("{name}: ")) || words.contains(&format!(" {name}: ")))
            && !words.contains("needed by");
        if absent {
            Self::Absent
        } else {
            Self::Broken(words.to_owned())
        }
    }
}

/// Why none of these libraries can be used: the first one's name where none is there, and otherwise what the loader
/// said of those that are.
pub(crate) fn refusal(names: &[PathBuf], load: impl Fn(&Path) -> Loading) -> String {
    let broken: Vec<String> = names
        .iter()
        .filter_map(|name| match load(name) {
            Loading::Broken(words) => Some(does_not_load(name, &words)),
            Loading::Loads | Loading::Absent => None,
        })
        .collect();
    if broken.is_empty() {
        let name = names.last().map(|name| name.display().to_string());
        format!("there is no {}", name.unwrap_or_default())
    } else {
        broken.join("; ")
    }
}

fn does_not_load(name: &Path, words: &str) -> String {
    format!(
        "{} is there and does not load, the loader says: {words}; install it again or, if that is another file than the \
         system's, take its folder out of LD_LIBRARY_PATH",
        name.display()
    )
}

/// Which drivers that OpenCL's loader is configured with do not load, and why: the loader passes over them in silence.
pub(crate) fn drivers(folder: &Path, load: impl Fn(&Path) -> Loading) -> Vec<String> {
    let named = |path: &Path| path.extension().is_some_and(|end| end == "icd");
    let files: Vec<PathBuf> = if named(folder) {
        vec![folder.to_owned()]
    } else {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.retain(|path| named(path));
        files.sort();
        files.truncate(ICD_FILES);
        files
    };
    let wrong = |file: &PathBuf| {
        let library = library_of(file)?;
        let words = match load(&library) {
            Loading::Loads => return None,
            Loading::Absent => "there is no such file where the loader looks".to_owned(),
            Loading::Broken(words) => words,
        };
        Some(format!(
            "{} names {}, which does not load: {words}",
            file.display(),
            library.display()
        ))
    };
    files.iter().filter_map(wrong).collect()
}

/// The library that a file of the loader names: its first line.
fn library_of(file: &Path) -> Option<PathBuf> {
    // A FIFO would not end.
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let mut bytes = File::open(file).ok()?.take(ICD_BYTES);
    bytes.read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| PathBuf::from(line))
}

#[cfg(test)]
mod tests {
    use super::{drivers, refusal, Loading};
    use std::path::{Path, PathBuf};

    #[test]
    fn the_words_of_loaders_are_told_apart() {
        let missing = "cannot open shared object file: No such file or directory";
        for (name, words, absent) in [
            ("libcuda.so.1", format!("libcuda.so.1: {missing}"), true),
            ("/x/libfoo.so", format!("/x/libfoo.so: {missing}"), true),
            (
                "libcuda.so.1",
                "Error loading shared library libcuda.so.1: No such file or directory".to_owned(),
                true,
            ),
            ("libcuda.so.1", format!("libother.so.2: {missing}"), false),
            (
                "libcuda.so.1",
                "Error loading shared library libother.so.2: No such file or directory (needed by \
                 /usr/lib/libcuda.so.1)"
                    .to_owned(),
                false,
            ),
            (
                "libcuda.so.1",
                "/x/libcuda.so.1: file too short".to_owned(),
                false,
            ),
        ] {
            let told = Loading::told(name, &words);
            let expected = if absent {
                Loading::Absent
            } else {
                Loading::Broken(words)
            };
            assert_eq!(told, expected, "{name}");
        }
    }

    #[test]
    fn a_library_that_is_there_is_not_said_to_be_missing() {
        let names = [PathBuf::from("liba.so"), PathBuf::from("liba.so.1")];
        let broken = |name: &Path| match name.to_str() {
            Some("liba.so.1") => Loading::Broken("file too short".to_owned()),
            _ => Loading::Absent,
        };
        let said = refusal(&names, broken);
        assert!(
            said.contains("liba.so.1 is there") && said.contains("file too short"),
            "{said}"
        );
        let said = refusal(&names, |_| Loading::Absent);
        assert_eq!(said, "there is no liba.so.1");
    }

    #[test]
    fn drivers_that_do_not_load_are_named_with_the_file_that_names_them() {
        let folder = std::env::temp_dir().join(format!("gristmill-icd-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [
            ("a.icd", "libgood.so\n"),
            ("b.icd", "/nowhere/libbad.so\n"),
            ("c.icd", ""),
            ("README", "libbad.so"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let load = |name: &Path| match name.to_str() {
            Some("libgood.so") => Loading::Loads,
            _ => Loading::Broken("a symbol is missing".to_owned()),
        };
        let all = drivers(&folder, load);
        let one = drivers(&folder.join("b.icd"), load);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(all, one);
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(
            all[0].contains("b.icd names /nowhere/libbad.so, which does not load: a symbol is"),
            "{all:?}"
        );
    }
}
