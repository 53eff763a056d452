//! What is stored of regexes: the same on every vector unit, found alike, and refused where it is wrong.

use super::*;
use crate::regexes::{mixed, Part, MIXED};
use crate::saved;

/// Regexes that are found in all ways; and with them some whose literals are too common for the scout.
fn kinds() -> [Vec<String>; 2] {
    let mixed: Vec<String> = MIXED.iter().map(|one| (*one).to_owned()).collect();
    let letters = "abcdefghijklmnopqrstuvwxyz";
    let pairs = letters.chars().zip(letters.chars().rev());
    let common = pairs.map(|(one, other)| format!(r"{one}{other}\W+"));
    [mixed.clone(), mixed.into_iter().chain(common).collect()]
}

fn stored(set: &RegexSet) -> Vec<u8> {
    let mut writer = SetWriter::default();
    set.save(&mut writer);
    writer.finish()
}

fn reader(bytes: &[u8]) -> SetReader {
    SetReader::new(saved::read(bytes, bytes.len()).unwrap()).unwrap()
}

fn loaded(
    builder: &RegexSetBuilder,
    texts: &[String],
    bytes: &[u8],
    unit: Unit,
) -> Result<RegexSet, SetError> {
    let mut reader = reader(bytes);
    let set = builder.load_on(texts, &mut reader, unit)?;
    reader.end()?;
    Ok(set)
}

#[test]
fn one_form_is_stored_and_every_vector_unit_finds_the_same_with_it() {
    let seed = gristmill_testing::seed("GRISTMILL_STORED_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    let builder = RegexSetBuilder::new();
    let by_scout = kinds().map(|texts| {
        let on = |unit| builder.build_on(&texts, unit).unwrap();
        let sets: Vec<RegexSet> = Unit::all().into_iter().map(on).collect();
        let bytes = stored(&sets[0]);
        let mut all = Vec::new();
        for (built, unit) in sets.into_iter().zip(Unit::all()) {
            assert!(stored(&built) == bytes, "{unit:?}");
            let loaded = loaded(&builder, &texts, &bytes, unit).unwrap();
            assert!(stored(&loaded) == bytes, "{unit:?}");
            all.extend([built, loaded]);
        }
        for _ in 0..40 {
            let text = mixed(&mut random, 1500);
            let start = random.usize(..=text.len());
            let part = Part {
                text: &text,
                starts: start..random.usize(start..=text.len()),
                ends: random.bool(),
            };
            let found = |set: &RegexSet| {
                let (mut cache, mut found) = (set.cache(), Vec::new());
                let push = |rule, hit| found.push((rule, hit));
                set.find_in(&mut cache, &part, || true, push);
                found.sort_by_key(|(rule, _)| *rule);
                found
            };
            let expected = found(&all[0]);
            for set in &all {
                assert_eq!(found(set), expected);
            }
        }
        let explained = |set: &RegexSet| set.explain().map(|plan| plan.to_string()).collect();
        let expected: Vec<String> = explained(&all[0]);
        assert!(all.iter().all(|set| explained(set) == expected));
        all[0].scouted.is_some()
    });
    assert_eq!(by_scout, [true, false]);
}

/// The fields of the section of one regex, behind the origin, and a set that has others.
fn fields(regex: &str) -> Vec<u8> {
    let set = RegexSet::new(&[regex]).unwrap();
    let section = reader(&stored(&set)).take(Tag::Regexes, 0).unwrap();
    section.bytes()[8..].to_vec()
}

fn load(builder: &RegexSetBuilder, regex: &str, fields: &[u8]) -> Result<RegexSet, SetError> {
    let mut writer = SetWriter::default();
    let mut section = FieldWriter::new();
    section.u64(origin());
    writer.section(Tag::Regexes, 0, [&section.finish(), fields].concat());
    let bytes = writer.finish();
    loaded(builder, &[regex.to_owned()], &bytes, Unit::chosen())
}

/// A regex without a mark, and one with.
const PLAIN: &str = r"key-\w{4}z*";
const MARKED: &str = r"sk_[0-9a-f]{40,}";

#[test]
fn what_is_wrong_is_refused_with_what_and_where() {
    let (plain, marked) = (fields(PLAIN), fields(MARKED));
    assert_eq!(&plain[38..50], b"\x01\0\0\0\x04\0\0\0key-");
    assert_eq!(&plain[50..], b"\0\0\0\0\0\x01\x01\0\0\0\0");
    assert_eq!(&marked[42..51], b"\x03\0\0\0sk_\x01\0");
    assert_eq!(&marked[146..], b"\0\0\x01\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0");
    let builder = RegexSetBuilder::new();
    // The section begins at byte 128, and the fields behind the origin.
    let begin = 128 + 8;
    let beyond = "the section goes on behind its last field";
    for (regex, at, change, place, what) in [
        (PLAIN, 16, 2, 16, "2 is neither 0 nor 1"),
        (PLAIN, 17, 2, 17, "2 is neither 0 nor 1"),
        (PLAIN, 18, 2, 18, "2 is neither 0 nor 1"),
        (PLAIN, 19, 0, 26, beyond),
        (PLAIN, 21, 1, 30, "a distance that is less than the least"),
        (PLAIN, 38, 65, 38, "no room for 65 elements"),
        (PLAIN, 42, 0, 46, "a literal that is empty, or too long"),
        (PLAIN, 42, 9, 57, "a run of bytes"),
        (
            PLAIN,
            50,
            1,
            52,
            "a run of bytes that is too short, or too long",
        ),
        (PLAIN, 51, 1, 51, "no room for 1 elements"),
        (PLAIN, 55, 0, 56, beyond),
        (PLAIN, 56, 0, 60, "sets of 0 literals, where there are 1"),
        (PLAIN, 56, 2, 56, "no room for 2 elements"),
        (PLAIN, 60, 8, 60, "a set that there is not"),
        (MARKED, 50, 8, 50, "a class that there is not"),
        (
            MARKED,
            51,
            7,
            51,
            "a run of bytes that is too short, or too long",
        ),
        (
            MARKED,
            51,
            65,
            51,
            "a run of bytes that is too short, or too long",
        ),
        (
            MARKED,
            56,
            1,
            55,
            "a run of bytes that lies nowhere, or too far",
        ),
        (
            MARKED,
            97,
            0,
            101,
            "before it, a rule with a mark that has no gate",
        ),
        (MARKED, 148, 0, 148, "a gate that no rule has"),
        (MARKED, 152, 1, 152, "no rule that can share the gate"),
        (MARKED, 157, 2, 161, "sets of 2 literals, where there are 1"),
        (MARKED, 161, 8, 161, "a set that there is not"),
    ] {
        let mut fields = if regex == PLAIN { &plain } else { &marked }.clone();
        fields[at] = change;
        let told = load(&builder, regex, &fields).unwrap_err().to_string();
        let expected = format!("section regexes, byte {}: {what}", begin + place);
        assert!(told.starts_with(&expected), "{at}: {told}, not {expected}");
    }
    // Neither literals nor a mark; and a literal that is too short to be looked for near one.
    for (regex, place, fields) in [
        (PLAIN, 43, [&plain[..38], &[0; 5], &plain[51..]].concat()),
        (
            MARKED,
            95,
            [&marked[..42], b"\x01\0\0\0s", &marked[49..]].concat(),
        ),
    ] {
        let told = load(&builder, regex, &fields).unwrap_err().to_string();
        let what = "before it, a regex that would be found by nothing";
        let expected = format!("section regexes, byte {}: {what}", begin + place);
        assert!(told.starts_with(&expected), "{told}, not {expected}");
    }
    // Literals that nothing looks for.
    let open = [&plain[..55], &[0]].concat();
    let told = load(&builder, PLAIN, &open).unwrap_err().to_string();
    assert!(told.contains("byte 128: its literals, not those"), "{told}");
    // What has not the form of a regex.
    let told = load(&builder, "(", &plain).unwrap_err().to_string();
    assert!(told.starts_with("a regex of the set is refused"), "{told}");
}

#[test]
fn what_is_said_wrongly_of_a_regex_finds_less_and_takes_no_more() {
    let builder = RegexSetBuilder::new();
    let text = b"key-abcd kex-abcd sk_0123456789abc key-efgh";
    let found = |regex: &str, fields: &[u8]| {
        let set = load(&builder, regex, fields).unwrap();
        let mut found = Vec::new();
        set.find(&mut set.cache(), text, |_, start, end| {
            found.push((start, end))
        });
        found
    };
    let plain = fields(PLAIN);
    assert_eq!(found(PLAIN, &plain), [(0, 8), (35, 43)]);
    // A regex that takes more memory than the set says, or one that means nothing, finds nothing.
    let mut small = plain.clone();
    small[..8].fill(0);
    assert_eq!(found(PLAIN, &small), []);
    assert_eq!(found(r"key-\p{Nothing}", &plain), []);
    // A literal that the regex does not require.
    let mut other = plain.clone();
    other[48] = b'x';
    assert!(found(PLAIN, &other)
        .iter()
        .all(|one| [(0, 8), (35, 43)].contains(one)));
    // Another regex than the literals are of is searched for where they are.
    assert_eq!(found(r"key-e\w+", &plain), [(35, 43)]);
    // A sequence that takes more than the set says, or is none.
    const NAMES: &str = "key.abcd";
    let names = fields(NAMES);
    assert_eq!(names[16], 1);
    assert_eq!(found(NAMES, &names), [(0, 8)]);
    let mut other = names.clone();
    other[17..25].fill(0);
    assert_eq!(found(NAMES, &other), []);
    assert_eq!(found("key.abcd*", &names), []);
    // However much it is said to take, the sum is no number that is too small.
    other[17..25].fill(0xFF);
    assert_eq!(found(NAMES, &other), [(0, 8)]);
    // The memory that gates take is bounded, too.
    let mut small = fields(MARKED);
    small[..16].fill(0);
    let mut builder = RegexSetBuilder::new();
    builder.total_size_limit(1000);
    let refused = load(&builder, MARKED, &small).unwrap_err();
    assert!(matches!(refused, SetError::Memory { .. }), "{refused}");
}

#[test]
fn what_another_version_of_unicode_has_told_is_found_out_again() {
    let builder = RegexSetBuilder::new();
    for texts in kinds() {
        let built = builder.build(&texts).unwrap();
        let mut writer = SetWriter::default();
        built.save_from(0, &mut writer);
        let other = writer.finish();
        let loaded = loaded(&builder, &texts, &other, Unit::chosen()).unwrap();
        assert!(stored(&loaded) == stored(&built));
    }
}
