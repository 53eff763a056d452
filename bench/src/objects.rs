//! Objects of a store on loopback: the tool compared with a plain loop over the client's GETs.
//!
//! Store, tool and loop are processes of their own. The store and its reader share the machine's processors, so the wall
//! time has both sides' work in it; the processor time and the memory are those of the reader alone.

use crate::process::{self, Side};
use crate::{data, memory, Goal, Row, Setting};
use futures_util::stream::{iter, StreamExt, TryStreamExt};
use gristmill::jobs::LARGE_CHUNK_BYTES;
use gristmill_testing::store::{Content, Store};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// The most objects of 4 KiB under the prefix `many/`.
const MANY: usize = 5_000;

/// How many GETs the plain loop has in flight.
const PARALLEL: &str = "32";

/// The chunks of a run over a URL, in MiB: at least 128 of 1 MiB.
const CHUNKS: f64 = 128.0;

/// Serves FILE as `bucket/large`, and pieces of it as `bucket/many/...`, until standard input ends. Prints the variables
/// that lead a client to it.
pub fn serve(file: &Path) -> Result<(), String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let store = Store::new();
    for (number, piece) in bytes.chunks_exact(4096).take(MANY).enumerate() {
        store.put(format!("bucket/many/{number:05}"), piece);
    }
    store.put_content("bucket/large", Content::Bytes(Arc::new(bytes)));
    let mut out = std::io::stdout().lock();
    for (name, value) in store.variables() {
        writeln!(out, "{name}={value}").map_err(|error| error.to_string())?;
    }
    writeln!(out)
        .and_then(|()| out.flush())
        .map_err(|error| error.to_string())?;
    // It ends with the process that measures, however that ends.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// The store's process.
struct Serving {
    process: Child,
    variables: Vec<(String, String)>,
}

impl Serving {
    fn start(file: &Path) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut process = Command::new(own)
            .arg("--serve")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the store: {error}"))?;
        let told = process.stdout.take().map(BufReader::new);
        let mut serving = Self {
            process,
            variables: Vec::new(),
        };
        for line in told.into_iter().flat_map(BufRead::lines) {
            let line = line.map_err(|error| format!("the store: {error}"))?;
            match line.split_once('=') {
                Some((name, value)) => serving.variables.push((name.into(), value.into())),
                None => return Ok(serving),
            }
        }
        Err("the store ended early".into())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The plain loop: GETs of `bucket/KEY` in ranges of so many bytes, or of all objects below `KEY/`, so many at a time. The
/// bytes are counted and dropped. The store is the one of the variables `AWS_*`.
pub fn gets(key: &str, range_bytes: u64, parallel: usize) -> Result<u64, String> {
    // A second call finds it set.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    let got = runtime.block_on(async {
        let store = AmazonS3Builder::from_env().with_bucket_name("bucket");
        let store = Arc::new(store.build()?);
        let get = |key: Key, range: Option<GetRange>| {
            let store = Arc::clone(&store);
            // Tasks run on the worker, as those of the tool do.
            tokio::spawn(async move {
                let options = GetOptions {
                    range,
                    ..GetOptions::default()
                };
                let mut body = store.get_opts(&key, options).await?.into_stream();
                let mut bytes = 0;
                while let Some(part) = body.next().await {
                    bytes += part?.len() as u64;
                }
                Ok::<u64, object_store::Error>(bytes)
            })
        };
        let place = Key::parse(key.trim_end_matches('/'))?;
        if key.ends_with('/') {
            let listed = store.list(Some(&place));
            let gets = listed.map_ok(|meta| async { get(meta.location, None).await? });
            let gets = gets.try_buffer_unordered(parallel);
            return gets
                .try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
                .await;
        }
        let size = store.head(&place).await?.size;
        let gets = (0..size.div_ceil(range_bytes)).map(|number| {
            let from = number * range_bytes;
            let range = GetRange::Bounded(from..size.min(from + range_bytes));
            let got = get(place.clone(), Some(range));
            async { got.await? }
        });
        let gets = iter(gets).buffer_unordered(parallel);
        gets.try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
            .await
    });
    got.map_err(|error: object_store::Error| error.to_string())
}

/// Compares a digest of what lies at `key` with the plain loop over it.
fn compare(
    setting: &Setting,
    name: &str,
    key: &str,
    bytes: u64,
    serving: &Serving,
    rows: &mut Vec<Row>,
) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let (url, range) = (format!("s3://bucket/{key}"), LARGE_CHUNK_BYTES.to_string());
    let ours = ["digest", "--algorithm", "crc32c", &url];
    let gets = ["--gets", key, &range, PARALLEL];
    let mut tool = Side::ours(&ours)?.with(&serving.variables);
    let mut bare = Side::new("GETs ", own.clone(), &gets).with(&serving.variables);
    let (_, got) = bare.run(true)?;
    let got = String::from_utf8_lossy(&got).trim().to_owned();
    if got != bytes.to_string() {
        return Err(format!("{name}: the loop got {got} of {bytes} bytes"));
    }
    process::in_turn(&mut [&mut tool, &mut bare], setting.runs)?;
    let peak = memory::peak(&process::gristmill()?, &ours, &serving.variables)?;
    let peak_of_gets = memory::peak(&own, &gets, &serving.variables)?;
    rows.extend([
        process::row(name, &tool, &bare, Goal::AtLeast(0.9)),
        process::cpu_row(name, &tool, &bare, Goal::None),
        Row {
            name: format!("{name}, peak memory above the chunks, MiB"),
            ours: format!("{peak:.1} MiB, {CHUNKS} MiB of them chunks at most"),
            peer: format!("GETs {peak_of_gets:.1} MiB"),
            figure: peak - CHUNKS,
            goal: Goal::AtMost(64.0),
        },
    ]);
    Ok(())
}

pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let size = if setting.smoke { 8 << 20 } else { 512 << 20 };
    let file = data::words_file(setting, size)?;
    let size = std::fs::metadata(&file)
        .map_err(|error| error.to_string())?
        .len();
    let serving = Serving::start(&file)?;
    same_digests(&file, &serving)?;
    let many = MANY.min(usize::try_from(size / 4096).unwrap_or(MANY));
    let mut rows = Vec::new();
    let all = [
        ("objects, a large one", "large", size),
        ("objects, many of 4 KiB", "many/", many as u64 * 4096),
    ];
    for (name, key, bytes) in all {
        compare(setting, name, key, bytes, &serving, &mut rows)?;
    }
    Ok(rows)
}

/// Refuses to measure a tool that does not give the object the digest of the file.
fn same_digests(file: &Path, serving: &Serving) -> Result<(), String> {
    let digest = |of: &str| -> Result<String, String> {
        let side = Side::ours(&["digest", of])?.with(&serving.variables);
        let row = String::from_utf8_lossy(&side.run(true)?.1).into_owned();
        Ok(row.split_whitespace().next().unwrap_or_default().to_owned())
    };
    match digest(process::text(file)?)? == digest("s3://bucket/large")? {
        true => Ok(()),
        false => Err("the object and its file have different digests".into()),
    }
}
