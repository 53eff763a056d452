//! The tool as a process that is ended in any case, scratch directories, and expected answers.

use gristmill_testing::Patience;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// User and group of an ordinary user.
const NOBODY: u32 = 65534;

pub use gristmill_testing::skipped;

/// Whether the tests run as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Runs a program that prepares a test. If it is missing or fails, says so and returns `None`.
pub fn prepare(program: &str, arguments: &[&OsStr]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            skipped(format_args!("{program}: {error}"));
            return None;
        }
    };
    if !output.status.success() {
        skipped(format_args!(
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or_default()
        ));
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A directory that every user can enter and that is removed after the test.
pub struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A path in the directory.
    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path().join(Path::new(name.as_ref()))
    }

    /// Writes a file of these bytes.
    pub fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a file of `zeros` NULs that take no space, and `tail`.
    pub fn sparse(&self, name: &str, zeros: u64, tail: &[u8]) -> PathBuf {
        use std::os::unix::fs::FileExt;
        let path = self.join(name);
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(zeros).unwrap();
        file.write_all_at(tail, zeros).unwrap();
        path
    }

    /// Makes a FIFO; `None` if that is not possible.
    pub fn fifo(&self, name: &str) -> Option<PathBuf> {
        let path = self.join(name);
        prepare("mkfifo", &[path.as_os_str()])?;
        Some(path)
    }
}

/// The number of bytes in a line of [`text`].
pub const LINE_BYTES: usize = 64;

/// Numbered lines of [`LINE_BYTES`] bytes; every 97th holds the word `needle`, all hold the word `line`.
pub fn text(lines: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines * LINE_BYTES);
    for number in 0..lines {
        let word = if number % 97 == 3 { "needle" } else { "hay" };
        let line = format!("line {number:012} {word} ");
        text.extend(line.as_bytes());
        let letters = (line.len()..LINE_BYTES - 1).map(|at| b'a' + ((number * 7 + at) % 26) as u8);
        text.extend(letters);
        text.push(b'\n');
    }
    text
}

/// The rows of `scan -H -n -b -e needle` for a file of [`text`].
pub fn needle_rows(path: &Path, text: &[u8]) -> Vec<u8> {
    let mut rows = Vec::new();
    for (number, line) in text.chunks(LINE_BYTES).enumerate() {
        if memchr::memmem::find(line, b"needle").is_some() {
            rows.extend(path.as_os_str().as_bytes());
            rows.extend(format!(":{}:{}:", number + 1, number * LINE_BYTES).as_bytes());
            rows.extend(line);
        }
    }
    rows
}

/// The row of `scan -c -e needle` for a file of [`text`].
pub fn count_row(path: &Path, text: &[u8]) -> Vec<u8> {
    let lines = text.chunks(LINE_BYTES);
    let count = lines.filter(|line| memchr::memmem::find(line, b"needle").is_some());
    let mut row = path.as_os_str().as_bytes().to_vec();
    row.extend(format!(":{}\n", count.count()).as_bytes());
    row
}

/// The digest of a file with these bytes.
pub fn hash(bytes: &[u8]) -> blake3::Hash {
    blake3::hash(bytes)
}

/// The row of `digest` for a file.
pub fn digest_row(path: &Path, digest: impl std::fmt::Display) -> Vec<u8> {
    let mut row = format!("{digest}  ").into_bytes();
    row.extend(path.as_os_str().as_bytes());
    row.push(b'\n');
    row
}

/// Checks the rows of several files, which finish in any order: each file's rows must be adjacent, in order and
/// complete.
#[track_caller]
pub fn assert_rows_of_files(rows: &[u8], files: &[Vec<u8>]) {
    let mut left = rows.to_vec();
    for file in files.iter().filter(|file| !file.is_empty()) {
        let Some(at) = memchr::memmem::find(&left, file) else {
            panic!(
                "rows are missing, the first of them {:?}; there are {:?}",
                shown(file),
                shown(rows)
            );
        };
        left.drain(at..at + file.len());
    }
    assert_eq!(shown(&left), "", "rows too many");
}

/// The first bytes in readable form.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned()
}

/// The tool, before it is started.
pub struct Tool {
    command: Command,
    /// Keeps a copy of the program that an ordinary user can reach.
    copy: Option<Scratch>,
}

impl Tool {
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            command,
            copy: None,
        }
    }

    /// `scan`, for the word that [`text`] hides, with paths, line numbers and offsets.
    pub fn scan<A: AsRef<OsStr>>(paths: impl IntoIterator<Item = A>) -> Self {
        Self::new(["scan", "-H", "-n", "-b", "-e", "needle"]).args(paths)
    }

    /// `scan -c`, with paths.
    pub fn count<A: AsRef<OsStr>>(paths: impl IntoIterator<Item = A>) -> Self {
        Self::new(["scan", "-H", "-c", "-e", "needle"]).args(paths)
    }

    /// `digest`.
    pub fn digest<A: AsRef<OsStr>>(paths: impl IntoIterator<Item = A>) -> Self {
        Self::new(["digest"]).args(paths)
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// Runs the tool as an ordinary user. Tests of root switch to one; other tests run as one already.
    pub fn ordinary_user(mut self) -> Self {
        if is_root() {
            let copy = Scratch::new();
            let program = copy.join("gristmill");
            std::fs::copy(env!("CARGO_BIN_EXE_gristmill"), &program).unwrap();
            let mut command = Command::new(program);
            command.args(self.command.get_args());
            command.stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.uid(NOBODY).gid(NOBODY);
            self.command = command;
            self.copy = Some(copy);
        }
        self
    }

    /// Calls `setting` in the process before it becomes the tool.
    ///
    /// # Safety
    /// `setting` runs between fork and exec: it must call async-signal-safe functions only, and not allocate.
    pub unsafe fn after_fork(
        mut self,
        setting: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        // SAFETY: the caller promises what `pre_exec` requires.
        unsafe { self.command.pre_exec(setting) };
        self
    }

    pub fn start(mut self) -> Running {
        let mut child = loop {
            match self.command.spawn() {
                // A child that another test has just forked still holds the copy of the program open for writing.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                spawned => break spawned.unwrap(),
            }
        };
        Running {
            rows: Gathered::start(child.stdout.take()),
            errors: Gathered::start(child.stderr.take()),
            child,
            _copy: self.copy,
        }
    }

    pub fn run(self) -> Answer {
        self.start().finish()
    }
}

/// The bytes that a pipe has delivered so far.
struct Gathered {
    bytes: Arc<(Mutex<Vec<u8>>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn start(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let reader = pipe.map(|mut pipe| {
            let bytes = Arc::clone(&bytes);
            std::thread::spawn(move || {
                let mut block = vec![0; 64 << 10];
                while let Ok(count @ 1..) = pipe.read(&mut block) {
                    bytes.0.lock().unwrap().extend(&block[..count]);
                    bytes.1.notify_all();
                }
            })
        });
        Self { bytes, reader }
    }

    fn len(&self) -> usize {
        self.bytes.0.lock().unwrap().len()
    }

    fn take(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        std::mem::take(&mut *self.bytes.0.lock().unwrap())
    }
}

/// The tool as a process, which is ended when this is dropped.
pub struct Running {
    child: Child,
    rows: Gathered,
    errors: Gathered,
    _copy: Option<Scratch>,
}

impl Running {
    /// Waits until `wanted` accepts the rows written so far.
    #[track_caller]
    pub fn wait_for_rows(&self, mut wanted: impl FnMut(&[u8]) -> bool) {
        let (bytes, arrived) = &*self.rows.bytes;
        let mut rows = bytes.lock().unwrap();
        let (mut patience, mut seen) = (Patience::new(), 0);
        while !wanted(&rows) {
            if rows.len() > seen {
                seen = rows.len();
                patience.moved();
            }
            if let Some(why) = patience.over() {
                panic!("these rows and no more: {:?}; {why}", shown(&rows));
            }
            rows = arrived
                .wait_timeout(rows, Duration::from_millis(50))
                .unwrap()
                .0;
        }
    }

    /// Waits until `wanted` rows have been written.
    #[track_caller]
    pub fn wait_for_count(&self, wanted: usize) {
        let (mut seen, mut count) = (0, 0);
        self.wait_for_rows(|rows| {
            count += memchr::memchr_iter(b'\n', &rows[seen..]).count();
            seen = rows.len();
            count >= wanted
        });
    }

    /// Sends SIGINT.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the tool has a handler for this signal, given by number.
    #[track_caller]
    pub fn wait_until_caught(&self, signal: i32) {
        self.wait_for_mask(signal, "SigCgt:", true);
    }

    /// Waits until this signal, which was sent to the tool and has a handler, is no longer pending: its handler has
    /// been entered.
    #[track_caller]
    pub fn wait_until_delivered(&self, signal: i32) {
        self.wait_for_mask(signal, "ShdPnd:", false);
    }

    /// Waits until a signal is in a mask of the process's status, or is not.
    #[track_caller]
    fn wait_for_mask(&self, signal: i32, mask: &str, wanted: bool) {
        let path = format!("/proc/{}/status", self.child.id());
        let mut patience = Patience::new();
        loop {
            let status = std::fs::read_to_string(&path).unwrap();
            let bits = status.lines().find_map(|line| line.strip_prefix(mask));
            let bits = u64::from_str_radix(bits.unwrap_or("0").trim(), 16).unwrap_or(0);
            if (bits & (1 << (signal - 1)) != 0) == wanted {
                return;
            }
            if let Some(why) = patience.over() {
                panic!("signal {signal} in {mask} is not {wanted}; {why}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The tool's peak resident memory so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.peak_while_it_runs().unwrap()
    }

    /// The same; `None` once the tool has ended.
    pub fn peak_while_it_runs(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        Some(peak?.trim().parse::<u64>().unwrap() << 10)
    }

    /// Waits until the tool ends.
    #[track_caller]
    pub fn finish(mut self) -> Answer {
        let (mut patience, mut seen) = (Patience::new(), 0);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let written = self.rows.len() + self.errors.len();
            if written > seen {
                seen = written;
                patience.moved();
            }
            if let Some(why) = patience.over() {
                self.end();
                panic!(
                    "it hangs: {why}; rows {:?}, errors {:?}",
                    shown(&self.rows.take()),
                    shown(&self.errors.take())
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Answer {
            status,
            rows: self.rows.take(),
            errors: String::from_utf8_lossy(&self.errors.take()).into_owned(),
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.end();
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Answer {
    status: ExitStatus,
    pub rows: Vec<u8>,
    pub errors: String,
}

impl Answer {
    /// The exit code, as a shell shows it.
    pub fn code(&self) -> i32 {
        let signal = self.status.signal().map(|signal| 128 + signal);
        self.status.code().or(signal).unwrap()
    }

    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "errors: {:?}", self.errors);
        self
    }

    /// Asserts that nothing is on standard error.
    #[track_caller]
    pub fn assert_quiet(&self) -> &Self {
        assert_eq!(self.errors, "");
        self
    }

    /// Asserts exit code 2 and, in any order, one line for each of these failures and no other.
    #[track_caller]
    pub fn assert_failures(&self, failures: &[Failure]) -> &Self {
        let mut wanted: Vec<String> = failures.iter().map(Failure::line).collect();
        let mut lines: Vec<&str> = self.errors.lines().collect();
        wanted.sort_unstable();
        lines.sort_unstable();
        assert_eq!(lines, wanted);
        self.assert_code(2)
    }

    /// The offset, if there is one, and the reason in the only line on standard error.
    #[track_caller]
    pub fn only_failure(&self, path: &Path) -> (Option<u64>, &str) {
        let line = self.errors.trim_end();
        assert_eq!(line.lines().count(), 1, "one line was due: {line:?}");
        let head = format!("gristmill: {}: ", path.display());
        let Some(told) = line.strip_prefix(&head) else {
            panic!("{line:?} does not begin with {head:?}");
        };
        match told
            .strip_prefix("offset ")
            .and_then(|rest| rest.split_once(": "))
        {
            Some((offset, reason)) => (Some(offset.parse().unwrap()), reason),
            None => (None, told),
        }
    }
}

/// A failure as it must be reported.
pub struct Failure {
    path: PathBuf,
    offset: Option<u64>,
    reason: String,
}

impl Failure {
    /// A failure before any byte was read.
    pub fn new(path: &Path, errno: i32) -> Self {
        Self {
            path: path.into(),
            offset: None,
            reason: io::Error::from_raw_os_error(errno).to_string(),
        }
    }

    /// A failure at this offset.
    pub fn at(path: &Path, offset: u64, errno: i32) -> Self {
        Self {
            offset: Some(offset),
            ..Self::new(path, errno)
        }
    }

    /// Whether a reason begins with this failure's.
    pub fn says(&self, reason: &str) -> bool {
        reason.starts_with(&self.reason)
    }

    fn line(&self) -> String {
        let offset = self.offset.map(|offset| format!("offset {offset}: "));
        let offset = offset.unwrap_or_default();
        format!(
            "gristmill: {}: {offset}{}",
            self.path.display(),
            self.reason
        )
    }
}
