//! Counts the occurrences of a list of strings in a file, and says how fast it was, in processor time: `count FILE LIST
//! [-i]`.

use gristmill_patterns::Literals;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(list)) = (arguments.next(), arguments.next()) else {
        return Err("usage: count FILE LIST [-i]".into());
    };
    let fold = arguments.next().is_some();
    let text = std::fs::read(file)?;
    let list = std::fs::read(list)?;
    let patterns: Vec<&[u8]> = list
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let begun = Instant::now();
    let set = Literals::build(&patterns, fold)?;
    let built = begun.elapsed();
    let begun = processor_time()?;
    let mut count = 0_u64;
    set.find(&text, 0..text.len(), |_, _| count += 1);
    let searched = processor_time()? - begun;
    println!(
        "{} patterns, {} KiB, built in {:.3} s: {count} occurrences, {:.2} GB/s, {:.1} cycles a byte expected ({})",
        set.len(),
        set.memory() >> 10,
        built.as_secs_f64(),
        text.len() as f64 / searched,
        set.cycles(),
        set.explain()
    );
    Ok(())
}

/// Nanoseconds for which this thread has run: what others do at the same time does not count.
fn processor_time() -> Result<f64, Box<dyn std::error::Error>> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(times.split(' ').next().unwrap_or("").parse()?)
}
