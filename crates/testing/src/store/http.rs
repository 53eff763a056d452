//! HTTP/1.1, as far as the store speaks it.

use super::content::{Content, Fault};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes that are written at a time.
const BLOCK: usize = 64 << 10;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// `BUCKET/KEY`.
    pub path: String,
    query: String,
    headers: Vec<(String, String)>,
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| byte == b'%');
        let escape =
            escape.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(escape.unwrap_or(byte));
        rest = if escape.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Request {
    /// The value of a header, whose name is in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(known, _)| *known == name);
        // In a query a plus is a space.
        let found = found.next();
        found.map(|(_, value)| decoded(&value.replace('+', " ")))
    }

    /// The range that is asked for.
    #[must_use]
    pub fn range(&self) -> Option<(u64, u64)> {
        let (from, to) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        Some((from.parse().ok()?, to.parse::<u64>().ok()? + 1))
    }
}

/// The body of an answer.
pub(super) enum Body {
    Text(String),
    Of(Content, Range<u64>),
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Body::Text(text) => text.len() as u64,
            Body::Of(_, range) => range.end - range.start,
        }
    }

    /// Calls `write` with the first `most` bytes.
    fn write(&self, most: u64, mut write: impl FnMut(&[u8]) -> bool) -> bool {
        let (content, range) = match self {
            Body::Text(text) => return write(&text.as_bytes()[..most as usize]),
            Body::Of(content, range) => (content, range.start..range.start + most),
        };
        let mut block = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + BLOCK as u64);
            let bytes = match content {
                Content::Bytes(bytes) => &bytes[at as usize..end as usize],
                Content::Sparse(_, pieces) => {
                    block.clear();
                    block.resize((end - at) as usize, 0);
                    for (offset, piece) in pieces.iter() {
                        let there = *offset..*offset + piece.len() as u64;
                        let (from, to) = (there.start.max(at), there.end.min(end));
                        if from < to {
                            block[(from - at) as usize..(to - at) as usize].copy_from_slice(
                                &piece[(from - offset) as usize..(to - offset) as usize],
                            );
                        }
                    }
                    &block
                }
            };
            if !write(bytes) {
                return false;
            }
            at = end;
        }
        true
    }
}

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    pub chunked: bool,
}

impl Answer {
    pub fn of(status: u16, text: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Text(text),
            chunked: false,
        }
    }

    /// An error as S3 tells it, with a message that nobody may show.
    pub fn error(status: u16, code: &str) -> Self {
        let message = "StringToSign hunter2";
        Self::of(
            status,
            format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
        )
    }
}

pub(super) struct Connection<'a> {
    reader: BufReader<&'a TcpStream>,
    writer: BufWriter<&'a TcpStream>,
}

impl<'a> Connection<'a> {
    pub fn new(stream: &'a TcpStream) -> Self {
        // Without this, an answer waits for the acknowledgement of its head.
        let _ = stream.set_nodelay(true);
        Self {
            reader: BufReader::new(stream),
            writer: BufWriter::new(stream),
        }
    }

    /// The next request.
    pub fn request(&mut self) -> Option<Request> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut first = lines.first()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines[1..].iter().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Request {
            method,
            path: decoded(path.trim_start_matches('/')),
            query: query.to_owned(),
            headers: headers.collect(),
        })
    }

    /// Answers a request. Returns whether another may follow.
    pub fn answer(
        &mut self,
        request: &Request,
        answer: &Answer,
        fault: &Fault,
        stopped: &AtomicBool,
    ) -> bool {
        let whole = answer.body.len();
        let told = match fault {
            Fault::Short(fewer) => whole.saturating_sub(*fewer as u64),
            _ => whole,
        };
        let most = match fault {
            Fault::Cut(bytes) | Fault::Stall(bytes) => told.min(*bytes as u64),
            _ => told,
        };
        let mut head = format!("HTTP/1.1 {} Status\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &match answer.chunked {
            true => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
            false => format!("Content-Length: {told}\r\n\r\n"),
        };
        if *fault == Fault::Stall(0) {
            head.clear();
        }
        let writer = &mut self.writer;
        let mut sent = writer.write_all(head.as_bytes()).is_ok();
        if sent && request.method != "HEAD" {
            sent = answer.body.write(most, |bytes| match answer.chunked {
                true => write!(writer, "{:x}\r\n", bytes.len())
                    .and_then(|()| writer.write_all(bytes))
                    .and_then(|()| writer.write_all(b"\r\n"))
                    .is_ok(),
                false => writer.write_all(bytes).is_ok(),
            });
            if answer.chunked && most == told {
                sent &= self.writer.write_all(b"0\r\n\r\n").is_ok();
            }
        }
        let sent = sent && self.writer.flush().is_ok();
        if matches!(fault, Fault::Stall(_)) {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return false;
        }
        sent && most == told
    }
}
