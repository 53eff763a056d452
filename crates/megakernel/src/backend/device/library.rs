//! Finds out why a driver's library cannot be used: it may be missing, or present but not loadable.
//!
//! The crates that call drivers load these libraries, and report only that loading failed. The message of the dynamic
//! loader is more helpful: it can name a truncated file, a file for another processor, or a missing library that this
//! one depends on.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most bytes that are read of a file that names a driver.
const ICD_BYTES: u64 = 4096;

/// The most drivers that are checked.
const ICD_FILES: usize = 64;

/// The outcome of loading a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loading {
    Loads,
    /// The loader found no file of that name.
    Absent,
    /// The file exists, or something that it needs is missing. Holds the loader's message.
    Broken(String),
}

impl Loading {
    /// Interprets the outcome of loading the library with this name.
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

    /// Interprets a loader's message. If no file has this name, the message contains the name and the text of ENOENT;
    /// glibc's begins with the name, and musl's has words before it. If the file exists and a library that it needs is
    /// missing, the message contains that library's name.
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

/// Explains why none of these libraries can be used: it gives the first one's name if none exists, and otherwise what
/// the loader said about those that exist.
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

/// Lists the drivers that OpenCL's loader is configured with and that do not load, with the reasons. The loader itself
/// skips them silently.
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

/// The library that a configuration file of the loader names in its first line.
fn library_of(file: &Path) -> Option<PathBuf> {
    // Reading a FIFO would never end.
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
