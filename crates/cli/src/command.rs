//! The commands with their flags, one definition from which parser, help, manual page and completions are made.

use super::mill::args::MillArgs;
use super::{
    compile, diff, digest, doctor, dupes, examples, ingest, program, replay, run, scan, selftest,
    stats,
};
use clap::{CommandFactory, Parser, Subcommand};

/// Stream files through io_uring into a persistent kernel: scan, fingerprint and summarise more bytes than fit in
/// memory.
///
/// Exit codes: 0 done (and found, for scan), 1 nothing found (or something differs, for digest --check, diff, run
/// --check, replay and selftest, or files are the same, for dupes, or is refused, for verify), 2 something failed, 128
/// plus the signal's number after a signal: 130 for Ctrl-C.
#[derive(Debug, Parser)]
#[command(
    name = "gristmill",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Search for regexes or strings, with the flags and the output of ripgrep
    Scan(Box<scan::ScanArgs>),
    /// Compile patterns or rules into a set for scan --set
    ///
    /// Loading a set takes a small fraction of the time needed to compile it. A set is the same on every CPU, and all
    /// versions of gristmill that support its format can read it. Its checksums detect damage, not forgery: a set from
    /// somebody else is validated, so it can do no harm, but it finds what its author wants it to find.
    Compile(Box<compile::CompileArgs>),
    /// Print or check digests of each file: BLAKE3, or SHA-256, SHA-1, MD5, XXH3, CRC-32C
    ///
    /// A row is the digest in hexadecimal, two spaces and the path, as in the output of b3sum, xxhsum and coreutils'
    /// checksum tools; the path of standard input is `-`. If a path contains a newline, a carriage return or a
    /// backslash, its row begins with a backslash, and the path has `\n`, `\r` or `\\` in its place. Digests of several
    /// algorithms, and of xxh3-64, are written as `ALGORITHM (PATH) = DIGEST`.
    Digest(Box<digest::DigestArgs>),
    /// Compare a manifest of files with another, or with the files as they are now
    ///
    /// Manifests are written by `digest --manifest`. Each row shows what happened to a file, and its path: added,
    /// removed, changed, moved (the same content under another path), rot (other content, though size and time are the
    /// same), or unread (it could not be read then or now). The last line has the totals, including the number of
    /// unchanged files. In a path, a newline is written as `\n`, a carriage return as `\r`, a backslash as `\\`.
    ///
    /// The exit code is that of diff(1): 0 if there is no difference, 1 if there is one, 2 if something failed or could not
    /// be read.
    Diff(diff::DiffArgs),
    /// Find files with the same content
    ///
    /// Files of the same size are compared by their BLAKE3 digests. The output consists of groups of paths, each with
    /// the files' size above it and an empty line below; groups that could save the most bytes come first. Hard links
    /// to one file are marked as such and save nothing. The last line has the totals.
    ///
    /// The exit code is 0 if no two files are the same, 1 if some are, 2 if something failed.
    Dupes(dupes::DupesArgs),
    /// Count bytes and lines, and show the entropy and histogram of bytes
    ///
    /// The first row names the columns: bytes, lines, entropy in bits per byte, and path; the last row is the total. In
    /// a path, a newline is written as `\n`, a carriage return as `\r`, a backslash as `\\`. Lines are counted by their
    /// newlines, as wc does.
    Stats(stats::StatsArgs),
    /// Run a VIR0 program over files
    ///
    /// A row is a record: path, offset and value, separated by colons. A file's records are followed by its
    /// accumulators, one per row: path, a colon, name and value. Array elements that counted nothing have no row. In a
    /// path, a newline is written as `\n`, a carriage return as `\r`, a backslash as `\\`. A file that fails has no
    /// accumulators.
    ///
    /// Programs count in integers. If a program defines how they are shown, they are shown that way, with their unit:
    /// entropy.vasm counts in 1/65536 bit per byte, and 304112 is shown as 4.64 bits per byte. With --json the integers
    /// are there as well.
    Run(run::RunArgs),
    /// Run several commands over files that are read once
    ///
    /// Each job is written after a `+`, as its own command with that command's own flags: scan (for every match, by
    /// rules, or by a set), digest, stats or run. It produces the same rows and failures as the command run separately.
    /// Paths, flags about files and reading, and --stats come before the first `+` and apply to all jobs. All jobs but
    /// one need --output. A file named + is written `./+`, and a pattern + is given as `-e+`.
    ///
    /// Files are read as they are: nothing is decompressed or decoded. The exit code is 0; or 1 if there are searches
    /// and none of them found anything; or 2 if something failed.
    #[command(
        override_usage = "gristmill mill [OPTIONS] [PATHS]... + COMMAND [ARGUMENTS]... [+ ...]\n       gristmill mill [OPTIONS] --jobs FILE [PATHS]..."
    )]
    Mill(MillArgs),
    /// Read files by one chosen read path, and report its counters
    ///
    /// Each file, or range of an NVMe device, is read by the ingest driver into the chunks of a running kernel, in
    /// memory of the host or of another PCI device, and the kernel computes the CRC-32C of each chunk where it landed.
    /// A row is the CRC-32C of a file, as `digest --algorithm crc32c` writes it. The report on standard error shows how
    /// many bytes the disk itself wrote to their slot, how many the kernel copied or may have copied from its page
    /// cache, and how many were copied in user space. The exit code is 2 if a read failed, used another path or was
    /// copied in user space, or if the numbers of bytes that were submitted, that landed and that the kernel summed do
    /// not agree.
    Ingest(ingest::IngestArgs),
    /// Assemble a VIR0 program
    ///
    /// The program is also verified; one that the verifier refuses is not written.
    Asm(program::AsmArgs),
    /// Disassemble a VIR0 program into text that assembles to the same bytes
    Disasm(program::DisasmArgs),
    /// Verify VIR0 programs: show the cost bound of each, or why it is refused
    ///
    /// A row is a path and `accepted`, with the largest number of instructions that the program can execute, or
    /// `refused`, with the instruction, its line and the rule that it breaks. The exit code is 1 if a program is
    /// refused.
    Verify(program::VerifyArgs),
    /// Run again what --record has recorded, and compare every result
    ///
    /// Every slot must give the same results, also on another back end or after a change. The first difference is
    /// printed with its slot and word. The bytes of files are read from the files again. The exit code is 1 if results
    /// differ, and 2 if a file has changed since (even if only in size), if the log is cut off or damaged, or if there
    /// was nothing to replay.
    Replay(replay::ReplayArgs),
    /// Show what this machine can do, and how to enable what it cannot
    ///
    /// The machine is described first, then each read path, feature and back end: yes or no, the reason, and what would
    /// change it. With files: which read paths can read each of them, and why the others cannot.
    Doctor(doctor::DoctorArgs),
    /// Test whether a back end on this machine conforms to the protocol
    ///
    /// Every opcode, the shipped programs and 1,000 random ones, priorities, fences, tenants, leases and shutdown are
    /// checked against the protocol and the reference interpreter. Then searches for strings, regexes and rules, and
    /// digests, run over files in $TMPDIR; their rows must be those of a single CPU thread, also where a device does
    /// part of a job and the host the rest. A row shows the result, the time, the case, and what was run or what
    /// differed. The exit code is 1 if a case failed.
    Selftest(selftest::SelftestArgs),
    /// Print the manual page, in roff
    Man,
    /// Print a shell's completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Every command with its flags and examples, from which parser, help, manual page and completions are made.
pub fn definition() -> clap::Command {
    let command = Cli::command().after_help("The help of each command ends with examples.");
    command.mut_subcommands(|command| {
        let examples = examples::help(command.get_name());
        // `gristmill scan --version` is the version of gristmill.
        command.display_name("gristmill").after_help(examples)
    })
}
