//! The shipped example `footer`, compared with plain Rust.

#[path = "../../../examples/footer.rs"]
#[allow(dead_code)]
mod footer;

use footer::{sections_of, Failure, Sections};
use gristmill::megakernel::backend::cpu::CpuBackend;
use gristmill::megakernel::backend::device::opencl::OpenClBackend;
use gristmill::megakernel::protocol::fault;
use gristmill::megakernel::Backend;
use std::fs::File;
use std::io::Write;

const EINVAL: u16 = 22;

/// The answer that the example must give for a file.
fn plain(file: &[u8]) -> Result<Sections, Failure> {
    let number = |at: usize, bytes: usize| {
        let field = file.get(at..at + bytes)?;
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(field.iter().rev().fold(0, join))
    };
    let header = || Some((number(40, 8)?, number(58, 2)?, number(60, 2)?));
    let (at, entry, count) = header().ok_or(Failure::NotElf)?;
    if file.len() < 64 || !file.starts_with(b"\x7FELF\x02\x01") || entry != 64 || count == 0 {
        return Err(Failure::NotElf);
    }
    if at > file.len() as u64 {
        return Err(Failure::Fault(fault::word(fault::IO_FAILED, EINVAL)));
    }
    let mut sections = Sections {
        count,
        code_bytes: 0,
    };
    for number_of in 0..count as usize {
        let entry = at as usize + 64 * number_of;
        let fields = || {
            Some((
                number(entry + 8, 8)?,
                number(entry + 32, 8)?,
                number(entry + 56, 8)?,
            ))
        };
        let (flags, size, _) = fields().ok_or(Failure::Truncated)?;
        if flags & 4 != 0 {
            sections.code_bytes = sections.code_bytes.wrapping_add(size);
        }
    }
    Ok(sections)
}

/// An ELF file of `count` sections, every third with code, behind `between` other bytes.
fn elf(count: u16, between: usize) -> Vec<u8> {
    let mut file = vec![0; 64 + between];
    file[..6].copy_from_slice(b"\x7FELF\x02\x01");
    let at = file.len() as u64;
    file[40..48].copy_from_slice(&at.to_le_bytes());
    file[58..60].copy_from_slice(&64u16.to_le_bytes());
    file[60..62].copy_from_slice(&count.to_le_bytes());
    for number in 0..u64::from(count) {
        let mut entry = [0; 64];
        entry[8] = if number % 3 == 1 { 6 } else { 2 };
        let size = number << 30 | 5;
        entry[32..40].copy_from_slice(&size.to_le_bytes());
        file.extend(entry);
    }
    file
}

#[test]
fn the_kernel_finds_what_plain_rust_finds() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(plain(&own).is_ok_and(|own| own.count > 10 && own.code_bytes > 1000));
    let mut far = elf(2, 0);
    far[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    let cut = |mut file: Vec<u8>, len: usize| {
        file.truncate(len);
        file
    };
    let files = [
        own,
        elf(1, 0),
        elf(40, 100_000),
        // More than a chunk holds, and exactly two chunks.
        elf(3000, 5),
        elf(512, 1),
        b"text".to_vec(),
        Vec::new(),
        vec![0; 500],
        elf(0, 10),
        // Cut in the header, before the table, in its first chunk, and in its last.
        cut(elf(3, 0), 63),
        cut(elf(3, 100), 100),
        cut(elf(30, 0), 500),
        cut(elf(3000, 0), 64 * 3000),
        far,
    ];
    let on = |backend: &dyn Backend| {
        let opened = files.iter().map(|bytes| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file
        });
        // Each file is used twice, so that there are more files than chunks.
        let mut all: Vec<File> = opened.collect();
        for number in 0..files.len() {
            all.push(all[number].try_clone().unwrap());
        }
        let answers = sections_of(backend, all).unwrap();
        assert_eq!(answers.len(), 2 * files.len());
        for (number, answer) in answers.iter().enumerate() {
            let number = number % files.len();
            assert_eq!(*answer, plain(&files[number]), "file {number}");
        }
    };
    on(&CpuBackend);
    match OpenClBackend::devices() {
        Ok(_) => on(&OpenClBackend::new(None).unwrap()),
        Err(error) => gristmill_testing::skipped(format_args!("OpenCL: {error}")),
    }
}
