//! An example or two for each command, in its help and in the manual. A test runs each as it is written.

/// The examples of a command, two lines each: a purpose, and the command line. No line is wider than 76 columns, so
/// that no terminal wraps it.
pub fn of(command: &str) -> &'static str {
    EXAMPLES
        .iter()
        .find_map(|(name, text)| (*name == command).then_some(*text))
        .unwrap_or_default()
}

const EXAMPLES: [(&str, &str); 17] = [
    (
        "scan",
        "\
# the lines below src that match a regex, with their numbers
gristmill scan -n 'persistent \\w+' src
# the lines that contain a string, case-insensitively
gristmill scan -Fi 'Persistent kernel' src
# two lines around each match, with the match replaced
gristmill scan -C2 -r '<$1>' 'persistent (\\w+)' src
# how many lines of each file contain one of many strings
gristmill scan -c -f patterns.txt logs
# every occurrence of each string, including overlapping ones
gristmill scan --all -f patterns.txt logs
# ... whole words only, so 1.2.3.4 is not found in 1.2.3.45
gristmill scan --all -w -F -f patterns.txt logs
# ... as a table, for DuckDB, Polars or pandas
gristmill scan --all -f patterns.txt logs --output matches.parquet
# what the rules of a file find, without showing the secrets
gristmill scan --rules rules.toml logs
# only the files that another program lists
find logs -name '*.log' -print0 | gristmill scan -l error --files0-from -
",
    ),
    (
        "compile",
        "\
# strings as a set, compiled once for many searches
gristmill compile -f patterns.txt -o patterns.gms
gristmill scan --set patterns.gms logs
# rules as a set, and which of them are slow
gristmill compile --rules rules.toml -o rules.gms --explain
",
    ),
    (
        "digest",
        "\
# a list of the files below src in the format of b3sum, checked later
gristmill digest src > list
gristmill digest --quiet --check list
# two digests of each file, reading it once
gristmill digest --algorithm sha256,blake3 src > both
# digests as a table
gristmill digest src --output digests.csv
# a manifest, to find out later what happened to the files
gristmill digest --manifest src.jsonl src
gristmill diff src.jsonl src
# a list that another tool wrote
sha256sum list > sums
gristmill digest --algorithm sha256 --check sums
",
    ),
    (
        "diff",
        "\
# what happened to the files below src since a manifest was written
gristmill digest --manifest old.jsonl src
gristmill diff old.jsonl src
# two manifests, and the differences as a table
gristmill digest --manifest new.jsonl src
gristmill diff old.jsonl new.jsonl --output differences.csv
",
    ),
    (
        "dupes",
        "\
# files with the same content
gristmill dupes src logs
# the same from a manifest, and how many bytes are in repeated chunks
gristmill digest --manifest src.jsonl --chunks fastcdc:16K src
gristmill dupes src.jsonl
",
    ),
    (
        "stats",
        "\
# bytes, lines and entropy of each file, and of all together
gristmill stats logs
# how often each byte value occurs in all of them
gristmill stats --total --histogram logs
",
    ),
    (
        "run",
        "\
# how long the lines of each file are
gristmill run programs/line_lengths.vasm logs
# the lowest and highest entropy of a block of each file, as a table
gristmill run --table programs/entropy.vasm logs
# whether a program gives the same result however files are cut
gristmill run --check programs/utf8_validate.vasm src
",
    ),
    (
        "mill",
        "\
# what rules find in a tree, and the digest of each file, in one read
gristmill mill logs + scan --rules rules.toml --output found.txt + digest
# statistics, and every match of many strings as a table
gristmill mill logs + stats + scan --all -f patterns.txt --output all.csv
",
    ),
    (
        "ingest",
        "\
# two files with eight reads in flight, and a report of the counters
gristmill ingest --slots 8 --slot-size 256K logs/a.log logs/b.log
",
    ),
    (
        "asm",
        "\
# a program as bytecode, which `gristmill run` accepts like its text
gristmill asm programs/newline_count.vasm -o newline_count.vir0
",
    ),
    (
        "disasm",
        "\
# what the assembler made of a text
gristmill asm programs/newline_count.vasm -o - | gristmill disasm -
",
    ),
    (
        "verify",
        "\
# the cost bound of each program for a chunk, or why it is refused
gristmill verify programs/*.vasm
",
    ),
    (
        "replay",
        "\
# record a run, and replay it
gristmill digest --algorithm crc32c --record run.log src > list
gristmill replay run.log
",
    ),
    (
        "doctor",
        "\
# what this machine can do
gristmill doctor
# which read paths can read a file
gristmill doctor logs/a.log
",
    ),
    (
        "selftest",
        "\
# the cases about fences, on worker threads
gristmill selftest --backend cpu --filter fence

# the cases that run whole jobs
gristmill selftest --backend cpu --filter jobs:
",
    ),
    (
        "man",
        "\
# the manual page as a file, to be read with `man ./gristmill.1`
gristmill man > gristmill.1
",
    ),
    (
        "completions",
        "\
# for bash; put `. ~/.gristmill.bash` into ~/.bashrc
gristmill completions bash > ~/.gristmill.bash
",
    ),
];

/// The examples as a help text shows them.
pub fn help(command: &str) -> String {
    let lines = of(command).lines().map(|line| format!("  {line}\n"));
    let text: String = std::iter::once("Examples:\n".to_owned())
        .chain(lines)
        .collect();
    text.trim_end().to_owned()
}

/// The examples as a subsection of the manual page.
pub fn roff(command: &str) -> String {
    let mut text = String::from(".SS EXAMPLES\n.nf\n");
    for line in of(command).lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let line = line.replace('\'', "\\(aq").replace('`', "\\(ga");
        // In roff, a line that begins with a dot would be a request.
        if line.starts_with('.') {
            text.push_str("\\&");
        }
        text.push_str(&line);
        text.push('\n');
    }
    text + ".fi\n"
}
