//! A store, and the same bytes as files.

use gristmill_testing::store::{Store, ACCESS_KEY, SECRET_KEY};
use gristmill_testing::Patience;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The output and exit code of a run.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    /// The rows of a run that succeeded without errors, sorted.
    pub fn rows(&self) -> Vec<String> {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        let mut rows: Vec<String> = self.out.lines().map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    }

    /// The only line of a run that failed.
    pub fn failure(&self) -> &str {
        assert_eq!(self.code, Some(2), "{self:?}");
        let mut lines = self.err.lines();
        let line = lines.next().unwrap_or_default();
        assert_eq!(lines.next(), None, "{self:?}");
        line
    }
}

/// A store, and a directory with the same names and bytes.
pub struct World {
    pub store: Store,
    pub scratch: TempDir,
}

impl World {
    pub fn new() -> Self {
        Self {
            store: Store::new(),
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    /// Puts an object into the bucket `bucket`, and a file of the same name.
    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let path = self.scratch.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &bytes).unwrap();
        self.store.put(format!("bucket/{name}"), bytes);
    }

    /// The tool, led to the store.
    pub fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
        command.args(arguments).current_dir(self.scratch.path());
        for (name, _) in std::env::vars_os() {
            let shown = name.to_string_lossy().to_ascii_uppercase();
            if ["AWS_", "GOOGLE_", "AZURE_", "SSL_CERT_"]
                .iter()
                .any(|start| shown.starts_with(start))
                || shown.ends_with("_PROXY")
            {
                command.env_remove(name);
            }
        }
        command.envs(self.store.variables());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        finish(self.tool(arguments))
    }

    /// Runs the tool over the URL, and over the directory, and compares what it prints of both.
    pub fn same(&self, arguments: &[&str], url: &str, directory: &str) -> Vec<String> {
        let with = |place: &str| {
            let mut all = arguments.to_vec();
            all.push(place);
            self.run(&all)
        };
        let (objects, files) = (with(url), with(directory));
        assert_eq!(objects.code, files.code, "{objects:?}\n{files:?}");
        let shown = files.out.replace(directory, url);
        let sorted = |text: &str| {
            let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
            rows.sort_unstable();
            rows
        };
        let (rows, expected) = (sorted(&objects.out), sorted(&shown));
        let differ = rows
            .iter()
            .zip(&expected)
            .find(|(row, expected)| row != expected);
        assert!(
            rows == expected,
            "{arguments:?}: {} rows, {}: {differ:?}",
            rows.len(),
            expected.len()
        );
        assert_eq!(objects.err, files.err.replace(directory, url));
        rows
    }

    pub fn path(&self) -> &Path {
        self.scratch.path()
    }
}

/// Waits for the end of a run, and sees that no secret is in what it prints.
pub fn finish(mut command: Command) -> Done {
    wait(command.spawn().unwrap())
}

pub fn wait(child: Child) -> Done {
    let output = Patience::output(child);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let done = Done {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    };
    for secret in [ACCESS_KEY, SECRET_KEY, "hunter2", "Signature="] {
        assert!(
            !done.out.contains(secret) && !done.err.contains(secret),
            "{done:?}"
        );
    }
    done
}
