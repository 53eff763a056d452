//! Output that is shown on a terminal but not in a pipe: progress, and the bar chart of `stats`. `script` (util-linux)
//! provides the terminal.

use gristmill_testing::Patience;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A command in a terminal of its own.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    /// Starts `gristmill` with `arguments`, which the shell reads, in `directory`; `None` without `script`.
    fn start(directory: &Path, arguments: &str) -> Option<Self> {
        let line = format!("exec '{}' {arguments}", env!("CARGO_BIN_EXE_gristmill"));
        let mut script = Command::new("script");
        script
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .current_dir(directory)
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(mut child) = script.spawn() else {
            gristmill_testing::skipped("script (util-linux) not installed");
            return None;
        };
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut stdout = child.stdout.take().unwrap();
        let seen = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut some) {
                seen.lock().unwrap().extend(&some[..length]);
            }
        });
        Some(Self {
            child,
            shown,
            reader,
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits until the terminal has shown `wanted`.
    fn wait_for(&mut self, wanted: &str) {
        let mut patience = Patience::new();
        while !self.text().contains(wanted) {
            if let Some(why) = patience.over() {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("{wanted:?} was not shown: {why}: {:?}", self.text());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Presses a key.
    fn press(&mut self, key: u8) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(&[key]).unwrap();
        stdin.flush().unwrap();
    }

    /// The exit code, and all that was shown.
    fn finish(mut self) -> (Option<i32>, String) {
        let mut patience = Patience::new();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if let Some(why) = patience.over() {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("killed: {why}: {:?}", self.text());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        self.reader.join().unwrap();
        let shown = String::from_utf8(self.shown.lock().unwrap().clone()).unwrap();
        (status.code(), shown)
    }
}

/// A directory with a FIFO `slow` in it, and the FIFO's writing side.
fn with_fifo() -> (TempDir, File) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("slow");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // The FIFO is opened for reading, too, so that opening it does not wait for a reader.
    let mut options = OpenOptions::new();
    let fifo = options.read(true).write(true).open(&path).unwrap();
    (scratch, fifo)
}

#[test]
fn what_takes_longer_than_a_second_shows_bytes_rate_and_files_and_takes_them_away() {
    let (scratch, mut fifo) = with_fifo();
    fs::write(scratch.path().join("quick"), vec![b'x'; 2_000]).unwrap();
    let Some(mut terminal) = Terminal::start(scratch.path(), "digest quick slow > rows") else {
        return;
    };
    fifo.write_all(&[b'x'; 1_000]).unwrap();
    terminal.wait_for("3.00 kB, ");
    terminal.wait_for("B/s, 1 files");
    drop(fifo);
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(0), "{shown:?}");
    // At the end, the line is cleared.
    let (_, after) = shown.rsplit_once("files").unwrap();
    assert!(after.trim_end().ends_with("\u{1b}[2K"), "{after:?}");
    let rows = fs::read_to_string(scratch.path().join("rows")).unwrap();
    assert_eq!(rows.lines().count(), 2, "{rows:?}");
    assert!(!rows.contains('\u{1b}'), "{rows:?}");
}

#[test]
fn where_the_total_is_known_the_time_left_is_told_and_control_c_ends_it() {
    let scratch = tempfile::tempdir().unwrap();
    // The files are holes, which take long to read and no space on the disk.
    let file = File::create(scratch.path().join("large")).unwrap();
    file.set_len(1 << 36).unwrap();
    let arguments = "digest -j1 --depth 1 --chunk-size 4K . > rows";
    let Some(mut terminal) = Terminal::start(scratch.path(), arguments) else {
        return;
    };
    terminal.wait_for(" left");
    terminal.press(3);
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(130), "{shown:?}");
    assert!(shown.contains("% "), "{shown:?}");
    assert!(shown.contains("gristmill: interrupted: "), "{shown:?}");
}

#[test]
fn rows_on_the_same_terminal_are_whole() {
    let (scratch, mut fifo) = with_fifo();
    let Some(mut terminal) = Terminal::start(scratch.path(), "scan -N --color=never needle slow")
    else {
        return;
    };
    fifo.write_all(b"first needle\n").unwrap();
    terminal.wait_for(" files");
    fifo.write_all(b"second needle\n").unwrap();
    drop(fifo);
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(0), "{shown:?}");
    for row in ["first needle\r\n", "second needle\r\n"] {
        let (before, _) = shown.split_once(row).unwrap_or_else(|| panic!("{shown:?}"));
        // A row begins on an empty line.
        let begins = ["", "\n", "\u{1b}[2K"];
        assert!(
            before.is_empty() || begins[1..].iter().any(|begin| before.ends_with(begin)),
            "{shown:?}"
        );
    }
}

#[test]
fn nothing_is_shown_of_a_quick_run_or_when_it_is_not_wanted_or_in_a_pipe() {
    let (scratch, fifo) = with_fifo();
    fs::write(scratch.path().join("quick"), b"x").unwrap();
    // A quick run is one that is over within a second. Under load, even a run over one byte may take longer; then
    // another is tried.
    let mut patience = Patience::new();
    loop {
        let began = Instant::now();
        let Some(terminal) = Terminal::start(scratch.path(), "digest quick > rows") else {
            return;
        };
        let (code, shown) = terminal.finish();
        assert_eq!(code, Some(0), "{shown:?}");
        if began.elapsed() < Duration::from_secs(1) {
            assert_eq!(shown, "");
            break;
        }
        patience.check("no run of a byte is over within a second");
    }

    let terminal = Terminal::start(scratch.path(), "digest --no-progress slow > rows").unwrap();
    let piped = "digest slow 2> errors > rows2";
    let piped = Terminal::start(scratch.path(), piped).unwrap();
    std::thread::sleep(Duration::from_millis(1_600));
    drop(fifo);
    assert_eq!(terminal.finish(), (Some(0), String::new()));
    assert_eq!(piped.finish(), (Some(0), String::new()));
    let errors = fs::read_to_string(scratch.path().join("errors")).unwrap();
    assert_eq!(errors, "");
}

#[test]
fn the_bar_chart_is_for_a_terminal_only_and_its_longest_bar_is_the_commonest() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("file"), b"aaaaaaaa0000\xff").unwrap();
    let Some(terminal) = Terminal::start(scratch.path(), "stats file") else {
        return;
    };
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(0), "{shown:?}");
    let bars: Vec<(&str, usize)> = shown
        .lines()
        .filter(|row| row.starts_with("0x"))
        .map(|row| (&row[..10], row.rsplit('%').next().unwrap().trim().len()))
        .collect();
    assert_eq!(bars.len(), 32, "{shown}");
    assert_eq!(bars[0x60 / 8], ("0x60..0x67", 50));
    assert_eq!(bars[0x30 / 8], ("0x30..0x37", 25));
    assert_eq!(bars[0xF8 / 8], ("0xf8..0xff", 7));
    assert_eq!(bars.iter().filter(|(_, length)| *length > 0).count(), 3);
    assert!(shown.lines().all(|row| row.trim_end() == row));

    let piped = Terminal::start(scratch.path(), "stats file > rows").unwrap();
    assert_eq!(piped.finish(), (Some(0), String::new()));
    let rows = fs::read_to_string(scratch.path().join("rows")).unwrap();
    assert_eq!(rows.lines().count(), 3, "{rows}");
}
