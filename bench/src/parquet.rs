//! Every match of a scan as a table in Parquet, beside the same rows as text.

use crate::process::{in_turn, row, text, Side};
use crate::{data, memory, Goal, Row, Setting};
use gristmill::jobs::DEFAULT_CHUNK_BYTES;

pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    // One byte in 30 is an "e".
    let file = data::words_file(setting, if setting.smoke { 1 << 20 } else { 304 << 20 })?;
    data::warm(&file)?;
    let all = ["scan", "--all", "-F", "-j", "2", "-e", "e", text(&file)?];
    let counted = Side::ours(&[&all[..], &["-c"]].concat())?.run(true)?.1;
    let counted = String::from_utf8_lossy(&counted);
    let counted = counted.trim().rsplit(':').next().unwrap_or_default();
    let table = [&all[..], &["--format", "parquet"]].concat();
    let (mut parquet, mut lines) = (
        Side::ours(&table)?,
        Side::new("text ", crate::process::gristmill()?, &all),
    );
    in_turn(&mut [&mut parquet, &mut lines], setting.runs)?;
    let name = format!("parquet, {counted} matches");
    Ok(vec![
        row(&name, &parquet, &lines, Goal::AtLeast(0.5)),
        memory::above_buffers(
            &format!("{name}, peak memory above buffers, MiB"),
            DEFAULT_CHUNK_BYTES,
            &table,
        )?,
    ])
}
