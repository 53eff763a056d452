//! The bare client beside which fetches are measured: GETs of ranges of one object, so many at a time, whose bytes are
//! counted and dropped.
//!
//! `gets BUCKET KEY RANGE_BYTES PARALLEL`, with the variables `AWS_*`.

use futures_util::stream::{iter, StreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bucket, key, range, parallel] = arguments.as_slice() else {
        return Err("gets BUCKET KEY RANGE_BYTES PARALLEL".into());
    };
    let (range, parallel) = (range.parse::<u64>()?, parallel.parse::<usize>()?);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let store = AmazonS3Builder::from_env().with_bucket_name(bucket);
        let (store, key) = (Arc::new(store.build()?), Path::parse(key)?);
        let size = store.head(&key).await?.size;
        let gets = (0..size.div_ceil(range)).map(|number| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move {
                let from = number * range;
                let options = GetOptions {
                    range: Some(GetRange::Bounded(from..size.min(from + range))),
                    ..GetOptions::default()
                };
                let mut body = store.get_opts(&key, options).await?.into_stream();
                let mut bytes = 0;
                while let Some(part) = body.next().await {
                    bytes += part?.len() as u64;
                }
                Ok::<u64, object_store::Error>(bytes)
            })
        });
        let mut gets = iter(gets).buffer_unordered(parallel);
        let mut bytes = 0;
        while let Some(got) = gets.next().await {
            bytes += got??;
        }
        println!("{bytes}");
        Ok(())
    })
}
