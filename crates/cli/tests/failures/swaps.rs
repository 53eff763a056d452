//! Files that are replaced after a walk has listed them, before they are opened or while they are read; and files of rules that
//! are not regular files.
//!
//! The swap is made when the walk returns the entry, which is before anything opens it, or when the job is shown the first chunk,
//! which is before it has seen the rest; so no test depends on timing.

use crate::limits::refuse;
use crate::world::{count_row, hash, is_root, skipped, text, Failure, Scratch, Tool};
use gristmill::jobs::digest::{Algorithm, DigestJob, DigestRows};
use gristmill::jobs::scan::{ScanFile, ScanJob};
use gristmill::jobs::{FileEnd, Flow, Job, LandedChunk};
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, Mill};
use gristmill::source::{Entry, FileFacts, Item, Source, Tree};
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A source that calls `swap` when it returns a file of this name.
struct Swapping<S, F> {
    inner: S,
    name: &'static str,
    swap: Option<F>,
}

impl<S: Source, F: FnOnce(&Path) + Send> Source for Swapping<S, F> {
    fn next_item(&mut self) -> Option<Item> {
        let item = self.inner.next_item();
        if let Some(Item::Entry(Entry { path, .. })) = &item {
            if path.ends_with(self.name) {
                if let Some(swap) = self.swap.take() {
                    swap(path);
                }
            }
        }
        item
    }
}

/// Rows and failures of `digest` over a tree in which `swap` is called when `name` is returned.
fn digest_with_swap(
    tree: Tree,
    name: &'static str,
    swap: impl FnOnce(&Path) + Send + 'static,
) -> (String, Vec<(PathBuf, String)>) {
    let source = Swapping {
        inner: tree.walk().unwrap(),
        name,
        swap: Some(swap),
    };
    let failures = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&failures);
    let control = Control::default().on_error(move |error| {
        let path = error.path.clone().unwrap_or_default();
        told.lock().unwrap().push((path, error.kind.to_string()));
    });
    let mut rows = Vec::new();
    let mill = Mill::builder().workers(1).build().unwrap();
    let job = Arc::new(DigestJob::new(Algorithm::Blake3.into(), DigestRows::Text));
    mill.run(source, job, &mut rows, &control).unwrap();
    let failures = std::mem::take(&mut *failures.lock().unwrap());
    (String::from_utf8(rows).unwrap(), failures)
}

/// A tree of `file`, `other` and `sub/inner`, and beside it `outside`, with files by the same names.
fn tree(scratch: &Scratch) -> PathBuf {
    for name in ["tree/file", "tree/other", "tree/sub/inner"] {
        scratch.write(name, b"public");
    }
    for name in ["outside/file", "outside/inner"] {
        scratch.write(name, b"secret");
    }
    scratch.join("tree")
}

/// How `digest` shows the contents of files in the tree, and of those outside.
fn public() -> String {
    hash(b"public").to_string()
}

fn secret() -> String {
    hash(b"secret").to_string()
}

#[track_caller]
fn assert_refused(answer: (String, Vec<(PathBuf, String)>), name: &str, why: &str, others: usize) {
    let (rows, failures) = answer;
    assert!(!rows.contains(&secret()), "{rows}");
    assert_eq!(rows.matches(&public()).count(), others, "{rows}");
    assert_eq!(failures.len(), 1, "{failures:?}");
    let (path, reason) = &failures[0];
    assert!(path.ends_with(name) && reason.contains(why), "{failures:?}");
}

#[test]
fn a_listed_file_that_became_a_link_is_not_followed() {
    listed_files_that_became_links();
}

fn listed_files_that_became_links() {
    for target in ["../outside/file", "/dev/zero", "other"] {
        let scratch = Scratch::new();
        let answer = digest_with_swap(Tree::new([tree(&scratch)]), "file", move |path| {
            std::fs::remove_file(path).unwrap();
            symlink(target, path).unwrap();
        });
        assert_refused(answer, "tree/file", "symbolic link", 2);
    }
}

/// `openat2`, the same on every architecture.
const OPENAT2: u32 = 437;

/// Refuses the call as the filters of containers do. `EPERM` does not say whether it is about the call or the file.
#[test]
fn where_openat2_is_refused_no_link_is_followed_either() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let refused = std::thread::spawn(move || {
            refuse(OPENAT2, errno).unwrap();
            listed_files_that_became_links();
            a_directory_that_became_a_link();
            let scratch = Scratch::new();
            let (rows, failures) = digest_with_swap(Tree::new([tree(&scratch)]), "none", |_| {});
            assert_eq!(rows.matches(&public()).count(), 3, "{rows}");
            assert_eq!(failures, []);
        });
        refused.join().unwrap();
    }
}

#[test]
fn a_directory_that_became_a_link_is_not_followed() {
    a_directory_that_became_a_link();
}

fn a_directory_that_became_a_link() {
    let scratch = Scratch::new();
    let moved = scratch.join("moved");
    let answer = digest_with_swap(Tree::new([tree(&scratch)]), "inner", move |path| {
        let directory = path.parent().unwrap();
        std::fs::rename(directory, moved).unwrap();
        symlink("../outside", directory).unwrap();
    });
    assert_refused(answer, "sub/inner", "", 2);
}

#[test]
fn the_directory_that_was_named_stays_the_one_that_was_walked() {
    let scratch = Scratch::new();
    let root = tree(&scratch);
    let (moved, outside) = (scratch.join("moved"), scratch.join("outside"));
    let named = root.clone();
    let answer = digest_with_swap(Tree::new([root]).sorted(true), "file", move |_| {
        std::fs::rename(&named, moved).unwrap();
        symlink(outside, &named).unwrap();
    });
    assert_eq!(answer.0.matches(&public()).count(), 3, "{answer:?}");
    assert_eq!(answer.1, []);
}

#[test]
fn a_listed_file_that_became_something_else_is_refused_by_its_kind() {
    let scratch = Scratch::new();
    let root = tree(&scratch);
    let Some(fifo) = scratch.fifo("fifo") else {
        return;
    };
    let answer = digest_with_swap(Tree::new([&root]), "file", move |path| {
        std::fs::rename(fifo, path).unwrap();
    });
    assert_refused(answer, "tree/file", "FIFO", 2);
    let answer = digest_with_swap(Tree::new([&root]), "other", |path| {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    });
    let (_, failures) = answer;
    let of_other = failures.iter().find(|(path, _)| path.ends_with("other"));
    assert!(
        of_other.is_some_and(|(_, why)| why.contains("directory")),
        "{failures:?}"
    );
}

/// A scan that calls `swap` when it is shown the first chunk.
struct SwappingScan<F> {
    job: ScanJob,
    swap: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> Job for SwappingScan<F> {
    type File = ScanFile;

    fn stream_job(&self) -> Option<StreamJob> {
        self.job.stream_job()
    }

    fn opcode(&self) -> u32 {
        self.job.opcode()
    }

    fn record_words(&self) -> u32 {
        self.job.record_words()
    }

    fn mode(&self, entry: &Entry, offset: u64) -> u32 {
        self.job.mode(entry, offset)
    }

    fn open(&self, entry: &Arc<Entry>, facts: &FileFacts) -> ScanFile {
        self.job.open(entry, facts)
    }

    fn chunk(&self, file: &mut ScanFile, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        if let Some(swap) = self.swap.lock().unwrap().take() {
            swap();
        }
        self.job.chunk(file, chunk, rows)
    }

    fn close(&self, file: ScanFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        self.job.close(file, end, rows)
    }
}

/// A line, or one before it, that was too long to be kept is read again from the file that was opened.
#[test]
fn a_file_that_is_replaced_while_it_is_read_is_not_opened_again() {
    let long = [vec![b'p'; 9 << 20], b" needle\n".to_vec()].concat();
    let mut before = [vec![b'p'; 2 << 20], b"\n".to_vec()].concat();
    before.extend([b'q'; 100_000]);
    before.extend(b"\nneedle\n");
    for (bytes, context) in [(long, 0), (before, 2)] {
        for (kind, direct) in [("link", false), ("fifo", false), ("file", true)] {
            let scratch = Scratch::new();
            let file = scratch.write("tree/file", &bytes);
            let other = scratch.write("outside/file", &vec![b's'; bytes.len()]);
            let Some(fifo) = scratch.fifo("outside/fifo") else {
                return;
            };
            let named = file.clone();
            let swap = move || {
                std::fs::remove_file(&named).unwrap();
                match kind {
                    "link" => symlink(other, named).unwrap(),
                    "fifo" => std::fs::rename(fifo, named).unwrap(),
                    _ => std::fs::rename(other, named).unwrap(),
                }
            };
            let job = ScanJob::builder().max_line_bytes(1 << 30);
            let job = job.pattern("needle").context(context, 0);
            let job = Arc::new(SwappingScan {
                job: job.build().unwrap(),
                swap: Mutex::new(Some(swap)),
            });
            let mill = Mill::builder().workers(1).chunk_bytes(1 << 16);
            let mill = mill.direct(direct).build().unwrap();
            let mut rows = Vec::new();
            let files = Tree::new([scratch.join("tree")]).walk().unwrap();
            let report = mill
                .run(files, Arc::clone(&job), &mut rows, &Control::default())
                .unwrap();
            let errors = job.job.take_errors();
            assert!(report.failures == 0 && errors.is_empty(), "{errors:?}");
            // What stands between groups of lines, and before the first.
            let rows = rows.strip_prefix(b"--\n").unwrap_or(&rows);
            let differs = rows
                .iter()
                .zip(&bytes)
                .position(|(one, other)| one != other);
            assert!(
                rows == bytes,
                "{kind}, {context} lines before: {} bytes, not {}, which differ at {differs:?}",
                rows.len(),
                bytes.len()
            );
        }
    }
}

#[test]
fn what_is_named_may_be_a_link_and_with_follow_what_is_listed_too() {
    let scratch = Scratch::new();
    let root = tree(&scratch);
    symlink(&root, scratch.join("link")).unwrap();
    symlink("file", root.join("alias")).unwrap();
    for named in ["link", "link/alias"] {
        let answer = Tool::digest([scratch.join(named)]).run();
        answer.assert_code(0).assert_quiet();
        assert!(String::from_utf8_lossy(&answer.rows).contains(&public()));
    }
    let tree = Tree::new([root]).follow(true);
    let (rows, failures) = digest_with_swap(tree, "file", |path| {
        std::fs::remove_file(path).unwrap();
        symlink("../outside/file", path).unwrap();
    });
    assert!(rows.contains(&secret()), "{rows}");
    assert_eq!(failures, []);
}

#[test]
fn files_of_rules_that_are_none_are_told_and_the_walk_goes_on() {
    let lines = text(300);
    for name in [".ignore", ".gitignore", ".rgignore", ".git/info/exclude"] {
        let scratch = Scratch::new();
        let file = scratch.write("tree/sub/file", &lines);
        let rules = scratch.join("tree").join(name);
        std::fs::create_dir_all(rules.parent().unwrap()).unwrap();
        if scratch.fifo(&format!("tree/{name}")).is_none() {
            return;
        }
        let told = |what: &str| {
            // The files of rules are above the walked directory, in the named one, and further down.
            for walked in ["tree/sub", "tree", ""] {
                let answer = Tool::count([scratch.join(walked)]).run();
                let answer = answer.assert_code(2);
                let (_, reason) = answer.only_failure(&rules);
                assert!(reason.contains(what), "{reason}");
                assert_eq!(answer.rows, count_row(&file, &lines));
            }
            let answer = Tool::count([scratch.path()]).args(["--no-ignore"]).run();
            answer.assert_code(0).assert_quiet();
        };
        told("FIFO");
        std::fs::remove_file(&rules).unwrap();
        symlink("/dev/zero", &rules).unwrap();
        told("character device");
        std::fs::remove_file(&rules).unwrap();
        scratch.sparse(&format!("tree/{name}"), 1 << 40, b"");
        told("longer than");
        std::fs::remove_file(&rules).unwrap();
        symlink(rules.file_name().unwrap(), &rules).unwrap();
        told("symbolic links");
        std::fs::remove_file(&rules).unwrap();
        // A link to /dev/null means that there are no rules.
        symlink("/dev/null", &rules).unwrap();
        Tool::count([scratch.path()])
            .run()
            .assert_code(0)
            .assert_quiet();
    }
}

#[test]
fn a_file_of_rules_that_may_not_be_read_is_told() {
    let scratch = Scratch::new();
    let lines = text(300);
    let file = scratch.write("tree/file", &lines);
    let rules = scratch.write("tree/.ignore", b"file\n");
    std::fs::set_permissions(&rules, PermissionsExt::from_mode(0o000)).unwrap();
    if !is_root() && std::fs::File::open(&rules).is_ok() {
        return skipped("this user may read what nobody may");
    }
    let answer = Tool::count([scratch.join("tree")]).ordinary_user().run();
    answer.assert_code(2);
    let (_, reason) = answer.only_failure(&rules);
    let denied = Failure::new(&rules, libc::EACCES);
    assert!(denied.says(reason), "{reason}");
    assert_eq!(answer.rows, count_row(&file, &lines));
}
