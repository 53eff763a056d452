//! A server for S3 that others wrote, `moto`, which `scripts/test peers` installs: its answers are those of S3, so far as
//! readers see them.

use super::world::{finish, Done, World};
use gristmill_testing::{peers, Patience};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The server, as a process.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Option<Self> {
        let peers = peers("objects", "there is no moto")?;
        let mut process = Command::new(peers.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(
                told.read_line(&mut line).unwrap() > 0,
                "it says where it listens"
            );
            if let Some((_, address)) = line.split_once("Running on http://") {
                break address.trim().to_owned();
            }
        };
        // It writes a line for each request.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        Some(Self { process, address })
    }

    /// Stores an object, or makes a bucket.
    fn put(&self, path: &str, bytes: &[u8]) {
        let mut patience = Patience::new();
        let mut stream = loop {
            match TcpStream::connect(&self.address) {
                Ok(stream) => break stream,
                Err(error) => assert_eq!(patience.over(), None, "{error}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        let head = format!(
            "PUT /{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            bytes.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_that_others_wrote_gives_the_same_answers() {
    let Some(server) = Server::start() else {
        return;
    };
    let world = World::new();
    server.put("bucket", b"");
    // Names as they are, and as HTTP escapes them.
    let names = [
        ("d/plain.txt", "d/plain.txt"),
        ("d/a b+c.txt", "d/a%20b%2Bc.txt"),
        (
            "d/100%&<x>'\"=?#.txt",
            "d/100%25%26%3Cx%3E%27%22%3D%3F%23.txt",
        ),
        ("d/ü/日本.txt", "d/%C3%BC/%E6%97%A5%E6%9C%AC.txt"),
        ("d/empty", "d/empty"),
        ("d/large", "d/large"),
    ];
    for (name, escaped) in names {
        let bytes = match name {
            "d/empty" => Vec::new(),
            "d/large" => b"needle in the hay\n".repeat(1 << 18),
            name => format!("a needle in {name}\n").into_bytes(),
        };
        world.put(name, bytes.clone());
        server.put(&format!("bucket/{escaped}"), &bytes);
    }
    // More than a page of names.
    for number in 0..1_100 {
        let name = format!("d/many/{number}");
        world.put(&name, format!("needle {number}\n"));
        server.put(
            &format!("bucket/{name}"),
            format!("needle {number}\n").as_bytes(),
        );
    }
    server.put("bucket/d/placeholder/", b"");
    let run = |arguments: &[&str]| -> Done {
        let mut tool = world.tool(arguments);
        tool.env("AWS_ENDPOINT_URL", format!("http://{}", server.address));
        finish(tool)
    };
    for arguments in [&["digest"][..], &["scan", "-c", "needle"]] {
        let with = |place: &str| {
            let mut all = arguments.to_vec();
            all.push(place);
            run(&all)
        };
        let expected: Vec<String> = with("d/").rows();
        let expected: Vec<String> = expected
            .iter()
            .map(|row| row.replace("d/", "s3://bucket/d/"))
            .collect();
        let mut rows: Vec<String> = with("s3://bucket/d/").rows();
        rows.sort_unstable();
        let mut expected = expected;
        expected.sort_unstable();
        assert!(rows == expected, "{} rows, {}", rows.len(), expected.len());
    }
    let one = run(&["digest", "s3://bucket/d/100%&<x>'\"=?#.txt"]);
    assert_eq!(one.rows().len(), 1);
    let gone = run(&["digest", "s3://nobucket/x/"]);
    assert!(gone.failure().contains("no such bucket"), "{gone:?}");
}
