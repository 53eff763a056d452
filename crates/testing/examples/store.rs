//! An object store on loopback, to measure readers by: `store BYTES` serves `bucket/large`, zeros, until it is ended.

use gristmill_testing::store::{Content, Store};
use std::sync::Arc;

fn main() {
    let bytes = std::env::args().nth(1).and_then(|bytes| bytes.parse().ok());
    let Some(bytes) = bytes else {
        eprintln!("store BYTES");
        std::process::exit(2);
    };
    let store = Store::new();
    store.put_content("bucket/large", Content::Sparse(bytes, Arc::default()));
    for number in 0..10_000 {
        store.put(
            format!("bucket/many/{number}"),
            format!("needle {number}\n"),
        );
    }
    for (name, value) in store.variables() {
        println!("export {name}={value}");
    }
    loop {
        std::thread::park();
    }
}
