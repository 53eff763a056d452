//! Times what a stored set saves: `sets LIST [-i]` prepares the lines of a list as strings, stores them, loads what was
//! stored, and says how long each took, and whether the stored bytes are the same again.

use gristmill_patterns::{saved, PatternSet};
use std::fs::File;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(list) = arguments.next() else {
        return Err("usage: sets LIST [-i]".into());
    };
    let fold = arguments.next().is_some();
    let list = std::fs::read(list)?;
    let lines = list.split(|byte| *byte == b'\n');
    let builder = lines
        .filter(|line| !line.is_empty())
        .fold(PatternSet::builder(), |set, line| set.string(line, line));
    let begun = Instant::now();
    let set = builder.case_insensitive(fold).build()?;
    println!("{} strings, prepared in {:.3?}", set.len(), begun.elapsed());
    let begun = Instant::now();
    let stored = set.save(None);
    println!("{} bytes, stored in {:.3?}", stored.len(), begun.elapsed());
    let path = std::env::temp_dir().join(format!("sets-{}", std::process::id()));
    std::fs::write(&path, &stored)?;
    for _ in 0..5 {
        let begun = Instant::now();
        let bytes = saved::read(File::open(&path)?, stored.len())?;
        let read = begun.elapsed();
        let (loaded, _) = PatternSet::load(bytes, 1 << 30)?;
        println!(
            "loaded in {:.3?}, of which {read:.3?} to read",
            begun.elapsed()
        );
        if loaded.save(None) != stored {
            return Err("it is stored in another way".into());
        }
    }
    std::fs::remove_file(&path)?;
    Ok(())
}
