//! smoke
use gristmill_megakernel::backend::opencl::OpenClBackend;
use gristmill_megakernel::{Backend, KernelConfig, Lease};
use gristmill_protocol::opcode;
use gristmill_ring::{RingConfig, Submission};
use std::time::{Duration, Instant};

#[test]
fn smoke() {
    let t = Instant::now();
    let backend = OpenClBackend::new(None).unwrap();
    println!("{backend:?} {:?}", t.elapsed());
    for workers in [1, 2] {
        for depth in [1usize, 64] {
            let (chunks, _bufs) = backend.chunk_memory(4, 65536).unwrap();
            let mut kernel = backend
                .launch(
                    KernelConfig {
                        workers,
                        ring: RingConfig {
                            slots: 64,
                            ..RingConfig::default()
                        },
                        chunks,
                        record_words: 256,
                        lease: Lease::default(),
                    },
                    vec![],
                    vec![],
                )
                .unwrap();
            let mut done = kernel.take_completions().unwrap();
            let n = 200_000;
            let mut lat = Vec::new();
            let (mut i, mut d) = (0, 0);
            let mut at = [Instant::now(); 64];
            let t = Instant::now();
            while d < n {
                while i < n && i - d < depth {
                    let Some(token) = kernel.submitter().try_acquire() else {
                        break;
                    };
                    at[token.index().get() as usize] = Instant::now();
                    kernel
                        .submitter()
                        .publish(token, &Submission::new(opcode::NOP, &[]))
                        .unwrap();
                    i += 1;
                }
                while let Some(c) = done.next() {
                    lat.push(at[c.token.index().get() as usize].elapsed());
                    assert_eq!(c.status, 3);
                    kernel.submitter().release(c.token);
                    d += 1;
                }
                assert!(t.elapsed() < Duration::from_secs(60));
                std::hint::spin_loop();
            }
            lat.sort();
            println!(
                "{workers} {depth} p50 {:?} p99 {:?} {:.0}/s",
                lat[lat.len() / 2],
                lat[lat.len() * 99 / 100],
                n as f64 / t.elapsed().as_secs_f64()
            );
            println!("{:?}", kernel.stats());
            let t = Instant::now();
            kernel.shutdown().unwrap();
            println!("{:?}", t.elapsed());
        }
    }
}
