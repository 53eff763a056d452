//! Several commands over one read of a file, beside the same commands one after the other.

use crate::process::{big, cpu_row, in_turn_after, row, text, Side, Spent};
use crate::{cache, data, Goal, Row, Setting};
use std::path::PathBuf;

/// Runs the mill, the commands and a reader in turn. Returns the commands as one side.
fn in_turn<'a>(
    setting: &Setting,
    mill: &mut Side<'a>,
    commands: &mut [Side<'a>],
    reader: Option<&mut Side<'a>>,
    before: impl FnMut(usize) -> Result<(), String>,
) -> Result<Side<'static>, String> {
    let mut all: Vec<&mut Side> = std::iter::once(mill)
        .chain(&mut *commands)
        .chain(reader)
        .collect();
    for side in &mut all {
        side.runs.clear();
    }
    in_turn_after(&mut all, setting.runs, before)?;
    let mut sum = Side::new("one after the other ", PathBuf::new(), &[]);
    for run in 0..setting.runs {
        let of = |pick: fn(&Spent) -> f64| commands.iter().map(|side| pick(&side.runs[run])).sum();
        sum.runs.push(Spent {
            wall: of(|spent| spent.wall),
            cpu: of(|spent| spent.cpu),
        });
    }
    Ok(sum)
}

/// By wall time and by processor time, with the file in the page cache, and without.
pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let (path, list) = (big(setting)?, data::patterns(setting, 512)?);
    data::warm(&path)?;
    let (file, list) = (text(&path)?, text(&list)?);
    let outputs = [
        "several-scan.txt",
        "several-digest.txt",
        "several-stats.txt",
    ];
    let outputs = outputs.map(|name| setting.data.join(name));
    let outputs = [text(&outputs[0])?, text(&outputs[1])?, text(&outputs[2])?];
    let commands: [&[&str]; 3] = [
        &["scan", "--all", "-F", "-H", "-f", list],
        &["digest"],
        &["stats"],
    ];
    let mut line = vec!["mill", "-j", "2", file];
    for (command, output) in commands.iter().zip(outputs) {
        line.push("+");
        line.extend(*command);
        line.extend(["--output", output]);
    }
    let mut mill = Side::ours(&line)?;
    let mut sides = Vec::new();
    for (command, output) in commands.iter().zip(outputs) {
        let side = Side::ours(&[*command, &["-j", "2", file]].concat())?;
        let (_, rows) = side.run(true)?;
        mill.run(false)?;
        let given = std::fs::read(output).map_err(|error| format!("{output}: {error}"))?;
        if given != rows {
            return Err(format!("{}: the mill gave another answer", command[0]));
        }
        // Its rows go to a file, too.
        let to = [*command, &["-j", "2", file, "--output", output]].concat();
        sides.push(Side::ours(&to)?);
    }
    // What a command spends on reading the file, without a job.
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut read = Side::new("", own, &["--read", file]);
    let sum = in_turn(setting, &mut mill, &mut sides, Some(&mut read), |_| Ok(()))?;
    for side in &sides {
        eprintln!("{}: {}", side.args[0], side.times());
    }
    let mut rows = vec![
        row("several, wall", &mill, &sum, Goal::AtLeast(1.1)),
        cpu_row("several", &mill, &sum, Goal::AtMost(1.0)),
    ];
    let mut less = Side::new("one after the other, less two reads ", PathBuf::new(), &[]);
    less.runs = sum.runs.clone();
    for (spent, read) in less.runs.iter_mut().zip(&read.runs) {
        spent.wall -= 2.0 * read.wall;
        spent.cpu -= 2.0 * read.cpu;
    }
    rows.push(cpu_row(
        "several, less two reads",
        &mill,
        &less,
        Goal::AtMost(1.1),
    ));
    // The mill has number 0, the first of the three has number 1.
    for (name, dropped) in [
        ("several, cold before each command", 3),
        (
            "several, cold before the mill and before the first command",
            1,
        ),
    ] {
        let sum = in_turn(setting, &mut mill, &mut sides, None, |number| {
            if number <= dropped {
                cache::drop(&path)?;
            }
            Ok(())
        })?;
        rows.push(row(name, &mill, &sum, Goal::AtLeast(1.3)));
    }
    Ok(rows)
}
