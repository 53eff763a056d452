//! Lists of names whose dots are those of regexes are found as each name alone, though no automaton is made of them.

use fastrand::Rng;
use gristmill_patterns::{Boundary, RegexSetBuilder};

const LABELS: [&str; 9] = [
    "evil",
    "cdn",
    "\u{e9}vil",
    "a-b",
    "x1",
    "com",
    "org",
    "EVIL",
    "k",
];

/// A name of some labels, perhaps with a class in it.
fn name(rng: &mut Rng) -> String {
    let labels = (0..rng.usize(2..5)).map(|_| rng.choice(LABELS).unwrap());
    let dot = |rng: &mut Rng| rng.choice([".", ".", ".", "[.-]", r"\."]).unwrap();
    let mut name = String::new();
    for label in labels.collect::<Vec<_>>() {
        if !name.is_empty() {
            name.push_str(dot(rng));
        }
        name.push_str(label);
    }
    match rng.u8(..6) {
        0 => format!("(?i){name}"),
        1 => format!("(?s){name}..."),
        _ => name,
    }
}

fn text(rng: &mut Rng) -> Vec<u8> {
    let separators: [&[u8]; 8] = [b".", b".", b".", b"-", b"\n", b" ", b"\xFF", b"\xE2\x84"];
    let mut text = Vec::new();
    for _ in 0..rng.usize(..300) {
        text.extend(rng.choice(LABELS).unwrap().bytes());
        text.extend_from_slice(rng.choice(separators).unwrap());
    }
    text
}

#[test]
fn names_with_dots_are_found_as_each_alone() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_NAMES_SEED"));
    let mut matches = 0;
    for _ in 0..60 {
        let names: Vec<String> = (0..40).map(|_| name(&mut rng)).collect();
        let boundary = [None, Some(Boundary::Word), Some(Boundary::Line)];
        let (boundary, [before, behind]) = match rng.choice(boundary).unwrap() {
            None => (None, ["", ""]),
            Some(Boundary::Word) => (Some(Boundary::Word), [r"\b{start-half}", r"\b{end-half}"]),
            Some(line) => (Some(line), ["(?m:^)", "(?m:$)"]),
        };
        let set = RegexSetBuilder::new().boundary(boundary).build(&names);
        let set = set.unwrap();
        let text = text(&mut rng);
        let mut found = vec![Vec::new(); names.len()];
        let mut cache = set.cache();
        set.find(&mut cache, &text, |number, start, end| {
            found[number].push((start, end))
        });
        for (number, name) in names.iter().enumerate() {
            let regex = format!("{before}(?:{name}){behind}");
            let regex = regex::bytes::Regex::new(&regex).unwrap();
            let expected: Vec<_> = regex
                .find_iter(&text)
                .map(|one| (one.start(), one.end()))
                .collect();
            assert_eq!(found[number], expected, "{name} in {}", text.escape_ascii());
            matches += expected.len();
            let at = rng.usize(..=text.len());
            let limit = rng.usize(at..=text.len() + 1);
            let next = regex.find_at(&text, at).map(|one| (one.start(), one.end()));
            assert_eq!(
                set.next(&mut cache, number, &text, at, limit),
                next.filter(|(start, _)| *start < limit),
                "{name} from {at} to {limit} in {}",
                text.escape_ascii()
            );
            let border = set.border(&mut cache, number, &text, at, true);
            let border = border.expect("a border of short matches");
            assert!(border <= at);
            assert!(expected
                .iter()
                .all(|(start, end)| *end < border || border <= *start));
        }
    }
    assert!(matches > 200, "{matches}");
}

#[test]
fn many_names_take_little_memory() {
    let names: Vec<String> = (0..20_000)
        .map(|number| format!("host-{number}.evil{}.example.com", number % 97))
        .collect();
    let set = RegexSetBuilder::new()
        .boundary(Some(Boundary::Word))
        // Compiled, each of them would take some KiB.
        .total_size_limit(40 << 20)
        .build(&names)
        .unwrap();
    assert!(set.memory_usage() < 40 << 20, "{}", set.memory_usage());
    let text = b"x host-19999.evil17.example.com host-1.evil2.example.com";
    let mut found = Vec::new();
    set.find(&mut set.cache(), text, |number, start, end| {
        found.push((number, start, end))
    });
    assert_eq!(found, [(19_999, 2, 31)]);
}
