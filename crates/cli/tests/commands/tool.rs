//! The tool as a process that ends, and its output.

use gristmill_testing::Patience;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The output and exit code of a run.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Done {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// The rows of a run that succeeded without errors.
    pub fn rows(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        String::from_utf8(self.out).unwrap()
    }
}

/// Waits until the child ends. A child that makes no more progress is killed, and fails the test.
pub fn finish(mut child: Child, stdin: Vec<u8>) -> Done {
    let pipe = child.stdin.take();
    let writer = std::thread::spawn(move || {
        if let Some(mut pipe) = pipe {
            // A run that needs no standard input may end before it is written.
            let _ = pipe.write_all(&stdin);
        }
    });
    let output = Patience::output(child);
    writer.join().unwrap();
    Done {
        code: output.status.code(),
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub fn gristmill(directory: &Path, arguments: &[&str]) -> Done {
    finish(command(directory, arguments).spawn().unwrap(), Vec::new())
}

/// The commands that `--help` lists.
pub fn commands(directory: &Path) -> Vec<String> {
    let help = gristmill(directory, &["--help"]).rows();
    let (_, list) = help.split_once("\nCommands:\n").unwrap();
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

pub fn gristmill_reading(directory: &Path, arguments: &[&str], stdin: &[u8]) -> Done {
    let mut command = command(directory, arguments);
    finish(
        command.stdin(Stdio::piped()).spawn().unwrap(),
        stdin.to_vec(),
    )
}

/// Waits until a child's threads have used half a second of processor time, so that it is in the middle of its work.
pub fn wait_until_busy(child: &Child) {
    let worked = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        // The process's name may hold any character, and stands in brackets.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks = rest.split_whitespace().nth(11).unwrap();
        ticks.parse::<u64>().unwrap() >= 50
    };
    while !worked() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends SIGINT, as Ctrl-C does.
pub fn interrupt(child: &Child) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: kill reads no memory of this process. The pid belongs to a child that has not been waited for yet
    // (`finish` does so later), so it cannot have been reused for another process.
    let result = unsafe { libc::kill(pid, libc::SIGINT) };
    assert_eq!(result, 0);
}
