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
    /// Find regexes or strings, with ripgrep's flags and ripgrep's answers
    Scan(Box<scan::ScanArgs>),
    /// Compile patterns or rules into a set for scan --set
    ///
    /// A set is loaded in a small part of the time that it takes to compile it, is the same on every processor, and is
    /// read by the versions of gristmill that have its format. Its checksums find damage, not forgery: a set from
    /// somebody else is checked so that it can do no harm, but it finds what they want it to find.
    Compile(Box<compile::CompileArgs>),
    /// Print or check digests of each file: BLAKE3, or SHA-256, SHA-1, MD5, XXH3, CRC-32C
    ///
    /// A row is the digest in hexadecimal, two spaces and the path, as b3sum, xxhsum and coreutils' checksum tools write
    /// theirs; the path of standard input is `-`. If a path holds a newline, a carriage return or a backslash, its row
    /// begins with a backslash and has `\n`, `\r` or `\\` in its place. Digests of several algorithms, and of xxh3-64,
    /// come as `ALGORITHM (PATH) = DIGEST`.
    Digest(Box<digest::DigestArgs>),
    /// Compare a manifest of files with another, or with the files as they are now
    ///
    /// Manifests are written by `digest --manifest`. A row is what has become of a file, and its path: added, removed,
    /// changed, moved (the same content under another path), rot (other content, though size and time are the same), or
    /// unread (it could not be read then or now). The last line has the numbers, and how many are unchanged. In a path, a
    /// newline is written as `\n`, a carriage return as `\r`, a backslash as `\\`.
    ///
    /// The exit code is that of diff(1): 0 if there is no difference, 1 if there is one, 2 if something failed or could not
    /// be read.
    Diff(diff::DiffArgs),
    /// Find files with the same content
    ///
    /// Of files that have the same size as another, BLAKE3 decides. Rows are groups of paths with their size above them and
    /// an empty line behind; the most bytes that could be saved come first. Other names of one file (hard links) are named
    /// as such, and nothing is saved by them. The last line has the numbers.
    ///
    /// The exit code is 0 if no two files are the same, 1 if some are, 2 if something failed.
    Dupes(dupes::DupesArgs),
    /// Count bytes and lines, with the entropy and histogram of bytes
    ///
    /// The first row names the columns: bytes, lines, entropy in bits per byte, and path; the last row is the total. In
    /// a path, a newline is written as `\n`, a carriage return as `\r`, a backslash as `\\`. Lines are counted by their
    /// newlines, as wc does.
    Stats(stats::StatsArgs),
    /// Run a VIR0 program over files
    ///
    /// A row is a record: path, offset and value, with colons between them. A file's records are followed by its
    /// accumulators, one row for each: path, a colon, name and value. Elements of an array that counted nothing have no
    /// row. In a path, a newline is written as `\n`, a carriage return as `\r`, a backslash as `\\`. A file that fails
    /// has no accumulators.
    ///
    /// Programs count in whole numbers. Where a program says how they are shown, they are shown so, with their unit:
    /// entropy.vasm counts in 1/65536 bit per byte, and 304112 is shown as 4.64 bits per byte. With --json they are whole
    /// numbers, too.
    Run(run::RunArgs),
    /// Run several commands over files that are read once
    ///
    /// Each job is written behind a `+`, as its own command with that command's own flags: scan (for every match, by
    /// rules, or by a set), digest, stats or run. Its rows, and what fails, are what the command alone would give.
    /// Flags about files and how they are read, and --stats, stand before the first `+` and are for all jobs. Each job
    /// but one needs --output. A file that is called + is written `./+`, and a pattern + is given as `-e+`.
    ///
    /// Files are read as they are: nothing is decompressed or decoded. The exit code is 0, or 1 if there are searches and
    /// none has found anything, or 2 if something failed.
    #[command(
        override_usage = "gristmill mill [OPTIONS] [PATHS]... + COMMAND [ARGUMENTS]... [+ ...]\n       gristmill mill [OPTIONS] --jobs FILE [PATHS]..."
    )]
    Mill(MillArgs),
    /// Read files by one chosen path, and report its counters
    ///
    /// Each file, or range of an NVMe device, is read by the ingest driver into the chunks of a running kernel, in
    /// memory of the host or of another PCI device, and the kernel sums each chunk where it landed. A row is the
    /// CRC-32C of a file, as `digest --algorithm crc32c` writes it. The report is on standard error, and says how many
    /// bytes the disk itself wrote to their slot, how many the kernel copied or may have copied from its page cache,
    /// and how many were copied in user space. The exit code is 2 if a read failed, came by another path or was copied
    /// in user space, or if the bytes that were submitted, that landed and that the kernel summed do not add up.
    Ingest(ingest::IngestArgs),
    /// Assemble a VIR0 program
    ///
    /// The program is verified, too: one that the verifier refuses is not written.
    Asm(program::AsmArgs),
    /// Write a VIR0 program as text, which assembles to the same bytes
    Disasm(program::DisasmArgs),
    /// Check VIR0 programs: the most that each can cost, or why it is refused
    ///
    /// A row is a path and `accepted`, with the most instructions that the program executes, or `refused`, with the
    /// instruction, its line and the rule that it breaks. The exit code is 1 if one is refused.
    Verify(program::VerifyArgs),
    /// Run again what --record has recorded, and compare every result
    ///
    /// On another back end, or after a change, every slot must have the same results. The first difference is printed
    /// with its slot and word. The bytes of files are read from the files again. The exit code is 1 if results differ,
    /// and 2 if a file has changed since, even only in size, if the log is cut or damaged, or if there was nothing to
    /// replay.
    Replay(replay::ReplayArgs),
    /// Show what this machine can do, and how to enable what it cannot
    ///
    /// The machine comes first, then each read path, feature and back end with yes or no, the reason, and the step that
    /// would change it. With files: which read paths can read each of them, and why the others cannot.
    Doctor(doctor::DoctorArgs),
    /// Test whether a back end on this machine conforms to the protocol
    ///
    /// Every opcode, the shipped programs and 1,000 random ones, priorities, fences, tenants, leases and shutdown are
    /// compared with the protocol and the reference interpreter. Then searches for strings, regexes and rules, and digests,
    /// run over files in $TMPDIR, and have to have the rows that one thread of the processor has, also where a device does
    /// a part of a job and the host the rest. A row is the result, the time, the case, and what was run or what differed.
    /// The exit code is 1 if a case failed.
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
