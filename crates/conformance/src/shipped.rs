//! The programs of the folder `programs/`, assembled and verified: the suite runs each of them on the back end.

use crate::case::Stop;
use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::{verify, Limits, Verified};
use std::io::{Error, ErrorKind};

/// Files of that folder, with their names and contents.
macro_rules! files {
    ($include:ident: $($name:literal)*) => {
        &[$(($name, $include!(concat!("../../../programs/", $name)))),*]
    };
}

const SOURCES: &[(&str, &str)] = files!(include_str:
    "adler32_blocks.vasm" "byte_histogram.vasm" "content_chunks.vasm" "entropy.vasm" "fixed_string.vasm"
    "line_lengths.vasm" "longest_run.vasm" "newline_count.vasm" "utf8_validate.vasm"
);

/// The files that the sources refer to.
const TABLES: &[(&str, &[u8])] = files!(include_bytes: "entropy.u32");

/// All programs, by file name.
pub(super) fn programs() -> Result<Vec<(&'static str, Verified)>, Stop> {
    let programs = SOURCES.iter().map(|(name, source)| {
        let program = assembled(name, source, &Limits::default());
        program.map(|program| (*name, program))
    });
    programs.collect()
}

/// Assembles and verifies a program. Its source may refer to the tables above.
pub(super) fn assembled(name: &str, source: &str, limits: &Limits) -> Result<Verified, Stop> {
    let files = |name: &str| {
        let found = TABLES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, bytes)| bytes.to_vec())
            .ok_or_else(|| Error::from(ErrorKind::NotFound))
    };
    let options = AsmOptions {
        name,
        files: &files,
        debug: true,
    };
    let program = assemble(source, &options).map_err(|error| Stop::Failed(error.to_string()))?;
    verify(program, limits).map_err(|refusal| Stop::Failed(format!("{name} is refused: {refusal}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_shipped_program_is_in_the_suite() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../programs");
        let there: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".vasm"))
            .collect();
        let programs = programs().unwrap_or_default();
        let tested: BTreeSet<String> = programs.iter().map(|(name, _)| (*name).into()).collect();
        assert_eq!(tested, there);
    }
}
