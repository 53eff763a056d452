//! Whole processes: `gristmill scan` compared with `rg`, and with a bare loop that reads and searches.

use crate::cache::{self, Folios};
use crate::cpu::cpu_seconds;
use crate::{data, median, sets, Goal, Row, Setting};
use gristmill_testing::ripgrep;
use nix::sys::resource::UsageWho;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The path of the release build of the tool, beside this program.
pub fn gristmill() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = own.with_file_name("gristmill");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{} is not built; run `cargo build --release` first",
            path.display()
        ))
    }
}

/// Checks whether a program can be started.
pub fn has(program: &str) -> Result<(), String> {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_| ())
        .map_err(|error| format!("{program}: {error}"))
}

/// The time that a whole process took, in seconds.
#[derive(Clone, Copy)]
pub struct Spent {
    pub wall: f64,
    /// Processor time of user and kernel together.
    pub cpu: f64,
}

/// A program in a comparison, with the times of its runs.
pub struct Side<'a> {
    /// The name of this side in the table; empty for ours.
    name: &'static str,
    program: PathBuf,
    pub args: Vec<&'a str>,
    /// Variables of its environment, beside those of this process.
    variables: &'a [(String, String)],
    /// Whether one run is all, and counts as often as there are turns.
    once: bool,
    pub runs: Vec<Spent>,
}

impl<'a> Side<'a> {
    /// A program that has not run yet.
    pub fn new(name: &'static str, program: PathBuf, args: &[&'a str]) -> Self {
        Self {
            name,
            program,
            args: args.to_vec(),
            variables: &[],
            once: false,
            runs: Vec::new(),
        }
    }

    /// Gives it variables.
    pub fn with(mut self, variables: &'a [(String, String)]) -> Self {
        self.variables = variables;
        self
    }

    /// Lets it run only once, because it takes long.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// The tool.
    pub fn ours(args: &[&'a str]) -> Result<Self, String> {
        Ok(Self::new("", gristmill()?, args))
    }

    pub fn rg(args: &[&'a str]) -> Result<Self, String> {
        Ok(Self::new("rg ", ripgrep::program()?.into(), args))
    }

    /// Runs the program once. Returns the times, and the output if it is to be kept.
    pub fn run(&self, keep: bool) -> Result<(Spent, Vec<u8>), String> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        command.stdout(if keep { Stdio::piped() } else { Stdio::null() });
        let (began, cpu) = (Instant::now(), cpu_seconds(UsageWho::RUSAGE_CHILDREN)?);
        let output = command
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let spent = Spent {
            wall: began.elapsed().as_secs_f64(),
            cpu: cpu_seconds(UsageWho::RUSAGE_CHILDREN)? - cpu,
        };
        if output.status.code() == Some(2) || output.status.code().is_none() {
            return Err(format!(
                "{} failed: {}",
                self.program.display(),
                output.status
            ));
        }
        Ok((spent, output.stdout))
    }

    /// The median times, as text for the table.
    pub fn times(&self) -> String {
        let middle =
            |pick: fn(&Spent) -> f64| 1e3 * median(self.runs.iter().map(pick).collect::<Vec<_>>());
        format!(
            "{}{:.1} ms, {:.1} ms of processor time{}",
            self.name,
            middle(|run| run.wall),
            middle(|run| run.cpu),
            if self.once { " (one run)" } else { "" }
        )
    }

    /// This side's wall time and the other side's, run by run.
    fn beside<'b>(&'b self, peer: &'b Side) -> impl Iterator<Item = (f64, f64)> + 'b {
        let pairs = self.runs.iter().zip(&peer.runs);
        pairs.map(|(ours, theirs)| (ours.wall, theirs.wall))
    }
}

/// Refuses to compare two programs that do not print the same lines, in any order.
pub fn same_answers(ours: &Side, peer: &Side) -> Result<(), String> {
    let lines = |side: &Side| -> Result<Vec<Vec<u8>>, String> {
        let (_, text) = side.run(true)?;
        let mut lines: Vec<_> = text
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        lines.sort();
        Ok(lines)
    };
    if lines(ours)? == lines(peer)? {
        Ok(())
    } else {
        Err("ours and the peer gave different answers".into())
    }
}

/// Runs all sides in turn: once to warm up, and then as often as runs are counted.
pub fn in_turn(sides: &mut [&mut Side], runs: usize) -> Result<(), String> {
    in_turn_after(sides, runs, |_| Ok(()))
}

/// The same, where something is done before each run of a side. It is given the side's number.
pub fn in_turn_after(
    sides: &mut [&mut Side],
    runs: usize,
    mut before: impl FnMut(usize) -> Result<(), String>,
) -> Result<(), String> {
    for run in 0..=runs {
        for (number, side) in sides.iter_mut().enumerate() {
            if side.once && run != 1 {
                side.runs.extend(side.runs.last().copied());
                continue;
            }
            before(number)?;
            let (spent, _) = side.run(false)?;
            if run > 0 {
                side.runs.push(spent);
            }
        }
    }
    Ok(())
}

/// A row for two sides that have run: the peer's wall time divided by ours.
pub fn row(name: &str, ours: &Side, peer: &Side, goal: Goal) -> Row {
    Row {
        name: name.into(),
        ours: ours.times(),
        peer: peer.times(),
        figure: median(ours.beside(peer).map(|(ours, peer)| peer / ours).collect()),
        goal,
    }
}

/// A row for two sides that have run: our processor time divided by the peer's.
pub fn cpu_row(name: &str, ours: &Side, peer: &Side, goal: Goal) -> Row {
    let pairs = ours.runs.iter().zip(&peer.runs);
    Row {
        figure: median(pairs.map(|(ours, peer)| ours.cpu / peer.cpu).collect()),
        ..row(
            &format!("{name}, processor time of ours / theirs"),
            ours,
            peer,
            goal,
        )
    }
}

/// A row that compares ours with rg.
fn beside_rg(
    setting: &Setting,
    name: &str,
    ours: &[&str],
    rg: &[&str],
    compare: bool,
    goal: Goal,
) -> Result<Row, String> {
    let (mut ours, mut rg) = (Side::ours(ours)?, Side::rg(rg)?);
    if compare {
        same_answers(&ours, &rg)?;
    }
    in_turn(&mut [&mut ours, &mut rg], setting.runs)?;
    Ok(row(name, &ours, &rg, goal))
}

pub fn text(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| "a path that is not UTF-8".into())
}

/// A row that compares a command on a back end with the same command on the processor's threads. Both must give the
/// same answers.
pub fn on_two(setting: &Setting, name: &str, args: &[&str], backend: &str) -> Result<Row, String> {
    let mut ours = Side::ours(&[args, &["--backend", backend]].concat())?;
    let mut cpu = Side::new(
        "cpu ",
        gristmill()?,
        &[args, &["--backend", "cpu"]].concat(),
    );
    same_answers(&ours, &cpu)?;
    in_turn(&mut [&mut ours, &mut cpu], setting.runs)?;
    eprintln!("{name}: {}; {}", ours.times(), cpu.times());
    Ok(row(name, &ours, &cpu, Goal::None))
}

pub fn big(setting: &Setting) -> Result<PathBuf, String> {
    data::words_file(setting, if setting.smoke { 8 << 20 } else { 2 << 30 })
}

/// The arguments, for ours and for rg, that count the lines of `file` that contain a pattern of `list`.
fn counting<'a>(list: &'a str, file: &'a str) -> ([&'a str; 7], [&'a str; 8]) {
    (
        ["scan", "-c", "-j", "2", "-f", list, file],
        ["--no-config", "-F", "-c", "-j", "2", "-f", list, file],
    )
}

/// The goal for the comparison with rg was set when the bare loop was 1.45 times as fast as rg. The goal for the
/// comparison with the bare loop is what that leaves for the pipeline.
pub fn scan_8(setting: &Setting) -> Result<Vec<Row>, String> {
    let (path, list) = (big(setting)?, data::patterns(setting, 8)?);
    let (file, list) = (text(&path)?, text(&list)?);
    let (ours, rg) = counting(list, file);
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    // Large folios come last, since most files lie in the cache in that state, and the other benchmarks then find this
    // file so.
    for folios in [Folios::Written, Folios::Single, Folios::Large] {
        let state = cache::arrange(&path, folios)?;
        let (mut ours, mut rg) = (Side::ours(&ours)?, Side::rg(&rg)?);
        let mut bare = Side::new("bare loop ", own.clone(), &["--bare-scan", file, list]);
        same_answers(&ours, &rg)?;
        in_turn(&mut [&mut ours, &mut rg, &mut bare], setting.runs)?;
        let name = |what: &str| format!("{what}, {state}");
        rows.extend([
            row(&name("scan-8"), &ours, &rg, Goal::AtLeast(1.35)),
            row(
                &name("scan-8, beside the bare loop"),
                &ours,
                &bare,
                Goal::AtLeast(0.93),
            ),
            row(&name("bare loop beside rg"), &bare, &rg, Goal::None),
        ]);
    }
    Ok(rows)
}

pub fn scan_512(setting: &Setting) -> Result<Vec<Row>, String> {
    let (file, list) = (big(setting)?, data::patterns(setting, 512)?);
    data::warm(&file)?;
    let (ours, rg) = counting(text(&list)?, text(&file)?);
    let row = beside_rg(setting, "scan-512", &ours, &rg, true, Goal::AtLeast(1.8))?;
    Ok(vec![row])
}

pub fn scan_dense(setting: &Setting) -> Result<Vec<Row>, String> {
    scan_e(setting, "scan-dense", "-c", true, Goal::AtLeast(1.0))
}

pub fn scan_print(setting: &Setting) -> Result<Vec<Row>, String> {
    scan_e(setting, "scan-print", "-n", setting.smoke, Goal::None)
}

/// A search for "e", which occurs in most lines.
fn scan_e(
    setting: &Setting,
    name: &str,
    flag: &str,
    compare: bool,
    goal: Goal,
) -> Result<Vec<Row>, String> {
    let file = big(setting)?;
    data::warm(&file)?;
    let file = text(&file)?;
    let ours = ["scan", flag, "-j", "2", "-e", "e", file];
    let rg = ["--no-config", "-F", flag, "-j", "2", "-e", "e", file];
    Ok(vec![beside_rg(setting, name, &ours, &rg, compare, goal)?])
}

/// Regexes of each kind: words around a literal, only classes, an alternation of words, and one that has no literal.
const REGEXES: &[(&str, &str)] = &[
    ("a literal between words", r"\w+foo\w+"),
    ("classes", r"[A-Z]{3}-\d{4}"),
    (
        "ten words",
        "qzwvk|entropy|kernel|needle|password|secret|token|credential|bearer|private",
    ),
    ("no literal", r"[a-f]{6}\s[x-z]{2}"),
];

pub fn regexes(setting: &Setting) -> Result<Vec<Row>, String> {
    let file = big(setting)?;
    data::warm(&file)?;
    let file = text(&file)?;
    let mut rows = Vec::new();
    for (name, regex) in REGEXES {
        // Of a single file rg uses one core.
        for (cores, goal) in [("1", 1.0), ("2", 1.7)] {
            let ours = ["scan", "-c", "-j", cores, "-e", regex, file];
            let rg = ["--no-config", "-c", "-j", cores, "-e", regex, file];
            let name = format!("regex, {name}, -j {cores}");
            rows.push(beside_rg(
                setting,
                &name,
                &ours,
                &rg,
                true,
                Goal::AtLeast(goal),
            )?);
        }
    }
    Ok(rows)
}

pub fn small(setting: &Setting) -> Result<Vec<Row>, String> {
    let count = if setting.smoke { 200 } else { 20_000 };
    let root = data::small_files(setting, count)?;
    let list = data::patterns(setting, 8)?;
    let (root, list) = (text(&root)?, text(&list)?);
    let mut rows = Vec::new();
    for (name, patterns) in [
        ("small, 1 pattern", ["-e", "zqxwvk"]),
        ("small, 8 patterns", ["-f", list]),
    ] {
        let mut ours = vec!["scan", "-c", "--no-ignore", "-j", "2"];
        let mut rg = vec!["--no-config", "-F", "-c", "--no-ignore", "-j", "2"];
        ours.extend(patterns);
        rg.extend(patterns);
        ours.push(root);
        rg.push(root);
        let goal = Goal::AtLeast(1.0);
        rows.push(beside_rg(setting, name, &ours, &rg, true, goal)?);
    }
    Ok(rows)
}

pub fn tiny(setting: &Setting) -> Result<Vec<Row>, String> {
    let file = setting.data.join("tiny");
    std::fs::write(&file, "one line\n").map_err(|error| error.to_string())?;
    let file = text(&file)?;
    let mut ours = Side::ours(&["scan", "-c", "-e", "one", file])?;
    let mut rg = Side::rg(&["--no-config", "-F", "-c", "-e", "one", file])?;
    same_answers(&ours, &rg)?;
    in_turn(&mut [&mut ours, &mut rg], setting.runs * 5)?;
    let more = ours.beside(&rg).map(|(ours, rg)| (ours - rg) * 1e3);
    Ok(vec![Row {
        figure: median(more.collect()),
        ..row("tiny", &ours, &rg, Goal::AtMost(5.0))
    }])
}

/// Sets of random strings of which hardly any occurs: lines counted, and every occurrence listed.
pub fn scan_sets(setting: &Setting) -> Result<Vec<Row>, String> {
    let (bytes, many) = if setting.smoke {
        (1 << 20, 10_000)
    } else {
        (64 << 20, 100_000)
    };
    let (large, small) = (big(setting)?, data::words_file(setting, bytes)?);
    for file in [&large, &small] {
        data::warm(file)?;
    }
    let mut rows = Vec::new();
    let eight = data::patterns(setting, 8)?;
    let (list, file) = (text(&eight)?, text(&large)?);
    let c = [("LC_ALL".to_owned(), "C".to_owned())];
    has("grep")?;
    let mut ours = Side::ours(&[
        "scan",
        "-c",
        "--include-zero",
        "-F",
        "-j",
        "2",
        "-f",
        list,
        file,
    ])?;
    let grep = ["-F", "-c", "-f", list, file];
    let mut grep = Side::new("grep ", "grep".into(), &grep).with(&c);
    same_answers(&ours, &grep)?;
    in_turn(&mut [&mut ours, &mut grep], setting.runs)?;
    rows.push(row("scan-sets, 8", &ours, &grep, sets::goal(8)));
    // Over the large file rg would take minutes with the larger set.
    for (count, file) in [(5_000, &large), (many, &small)] {
        let list = data::patterns(setting, count)?;
        let (list, file) = (text(&list)?, text(file)?);
        let (counted, rg) = counting(list, file);
        let mut counted = Side::ours(&counted)?;
        let mut all = Side::ours(&["scan", "--all", "-F", "-j", "2", "-f", list, file])?;
        let mut rg = Side::rg(&rg)?.once();
        if setting.smoke {
            same_answers(&counted, &rg)?;
        }
        in_turn(&mut [&mut counted, &mut all, &mut rg], setting.runs)?;
        let bytes = std::fs::metadata(file)
            .map_err(|error| error.to_string())?
            .len()
            >> 20;
        for (what, ours) in [("", &counted), (", --all beside -c", &all)] {
            let name = format!("scan-sets, {count}, {bytes} MiB{what}");
            rows.push(row(&name, ours, &rg, sets::goal(count)));
        }
    }
    Ok(rows)
}
