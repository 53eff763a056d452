//! Rule files: what they may hold, what is refused and where, and what their rules find.

use gristmill_rules::{Finding, Matched, RuleError, RuleSet};
use std::path::Path;

const TOML: &[u8] = include_bytes!("../../../examples/rules.toml");
const LIST: &[u8] = include_bytes!("../../../examples/rules.txt");

fn toml(text: impl AsRef<[u8]>) -> Result<RuleSet, RuleError> {
    let mut rules = RuleSet::default();
    rules.add(Path::new("r.toml"), text.as_ref())?;
    Ok(rules)
}

fn list(text: impl AsRef<[u8]>) -> Result<RuleSet, RuleError> {
    let mut rules = RuleSet::default();
    rules.add(Path::new("r.txt"), text.as_ref())?;
    Ok(rules)
}

/// Judges what the regex of the first rule finds in a line.
fn judge(rules: &RuleSet, path: &str, line: &str) -> Option<(Finding, String)> {
    let regex = regex::bytes::Regex::new(rules.rules()[0].pattern()?).unwrap();
    let found = regex.find(line.as_bytes())?;
    let matched = Matched {
        rule: 0,
        text: found.as_bytes(),
        line: line.as_bytes(),
    };
    let finding = rules.judge(&rules.at_path(path.as_bytes()), &matched)?;
    let secret = String::from_utf8(found.as_bytes()[finding.secret.clone()].to_vec()).unwrap();
    Some((finding, secret))
}

#[test]
fn the_examples_are_read_and_mixed() {
    let mut rules = RuleSet::default();
    rules.add(Path::new("rules.toml"), TOML).unwrap();
    rules.add(Path::new("rules.txt"), LIST).unwrap();
    let ids: Vec<&str> = rules.rules().iter().map(|rule| rule.id()).collect();
    let expected = [
        "acme-token",
        "assigned-password",
        "key-store",
        "ticket",
        "host of the botnet",
    ];
    assert_eq!(ids, expected);
    assert_eq!(rules.rules()[0].tags(), ["token"]);
    assert_eq!(
        rules.rules()[0].description(),
        "A token of the ACME service"
    );
    assert_eq!(rules.at_path(b"a/b.p12").found(), [2]);
    assert_eq!(rules.at_path(b"a/b.rs").found(), [] as [u32; 0]);
    // The allowlist of the TOML file does not hold for the list.
    let path = rules.at_path(b"testdata/a.p12");
    assert_eq!(path.found(), [] as [u32; 0]);
    assert!(!path.allows_all());
    let ticket = Matched {
        rule: 3,
        text: b"ABC-1234",
        line: b"ABC-1234",
    };
    assert!(rules.judge(&path, &ticket).is_some());
    assert!(toml(TOML).unwrap().at_path(b"testdata/x").allows_all());
    let token = "acme_live_0123456789abcdefghijKLMN";
    let (finding, secret) = judge(&rules, "x", token).unwrap();
    assert_eq!(secret, &token[10..]);
    assert!((finding.entropy - 24f64.log2()).abs() < 1e-9);
    assert!(judge(&rules, "x", "acme_live_EXAMPLE9abcdefghijKLMNop").is_none());
    assert!(judge(&rules, "x", "acme_live_0123456789CHANGEME6789ab").is_none());
    assert!(judge(&rules, "x", "acme_live_aaaaaaaaaaaaaaaaaaaaaaaa").is_none());
    assert!(judge(&rules, "x", &format!("{token} # gitleaks:allow")).is_none());
    assert!(judge(&rules, "testdata/x", token).is_none());
}

#[test]
fn a_list_is_read_as_its_lines() {
    let rules = list("\u{FEFF}# c\r\n\r\na\tx+\r\n\n b \ty\tz\na\tw").unwrap();
    let read: Vec<_> = rules
        .rules()
        .iter()
        .map(|rule| (rule.id(), rule.pattern().unwrap(), rule.line()))
        .collect();
    assert_eq!(read, [("a", "x+", 3), ("b", "y\tz", 5), ("a", "w", 6)]);
    assert!(list("").unwrap().rules().is_empty());
    for (text, shown) in [
        (&b"a\tx\nb"[..], "r.txt:2:1: no tab"),
        (b"\tx", "r.txt:1:1: no name"),
        (b"a\t", "r.txt:1:3: no regex"),
        (
            b"a\tx(",
            "r.txt:1:4: unclosed group\n    a\u{FFFD}x(\n       ^",
        ),
        (b"\n\xC3\xA9\xC3\xA9\tx\xFF", "r.txt:2:5: not UTF-8"),
    ] {
        let error = list(text).unwrap_err().to_string();
        assert!(error.starts_with(shown), "{error}");
    }
}

#[test]
fn rules_may_stand_in_no_file() {
    let mut rules = toml("[allowlist]\npaths = ['x']\n[[rules]]\nid = 'a'\nregex = 'a'").unwrap();
    rules.add_pattern("a", "b+").unwrap();
    rules.add_pattern("a", "(?-u:\\xFF)").unwrap();
    let error = rules.add_pattern("c", "x(").unwrap_err();
    assert_eq!((error.offset, error.reason.as_str()), (1, "unclosed group"));
    assert_eq!(rules.rules().len(), 3);
    assert_eq!((rules.rules()[2].id(), rules.rules()[2].line()), ("a", 0));
    let path = rules.at_path(b"x");
    // The allowlists of the file do not hold for them.
    assert!(!path.allows_all());
    for (rule, text) in [(1, b"b"), (2, b"\xFF")] {
        let matched = Matched {
            rule,
            text,
            line: text,
        };
        assert!(rules.judge(&path, &matched).is_some());
    }
}

#[test]
fn what_is_wrong_in_a_toml_file_is_named_with_its_place() {
    let rule = |rest: &str| format!("[[rules]]\nid = 'a'\n{rest}");
    for (text, shown) in [
        ("x = ".to_owned(), "r.toml:1:"),
        ("rulez = 1".into(), "r.toml:1:1: unknown key `rulez`"),
        ("rules = 1".into(), "r.toml:1:9: `rules` is an array of tables"),
        ("[extend]\nuseDefault = true".into(), "r.toml:1:2: `extend` is not supported"),
        ("minVersion = 'v9.1.0'".into(), "r.toml:1:14: the file is for gitleaks v9.1.0"),
        ("minVersion = 'new'".into(), "r.toml:1:14: not a version"),
        ("[[rules]]\nregex = 'a'".into(), "r.toml:1:1: a rule without an id"),
        (rule(""), "r.toml:2:6: rule `a` has neither"),
        (rule("regex = 1"), "r.toml:3:9: `regex` is a string"),
        (rule("regex = '''é(b'''"), "r.toml:3:13: unclosed group"),
        (rule("regex = '''\na\n b(c'''"), "r.toml:5:3: unclosed group"),
        (rule("regex = \"a\\\\d(\""), "r.toml:3:9: unclosed group"),
        (rule("regex = '(a)'\nsecretGroup = 2"), "r.toml:4:15: secretGroup is 2, and the regex has 1"),
        (rule("regex = 'a'\nsecretGroup = -1"), "r.toml:4:15: `secretGroup` is a whole number"),
        (rule("regex = 'a'\nentropy = '3'"), "r.toml:4:11: `entropy` is a number"),
        (rule("regex = 'a'\nentropy = nan"), "r.toml:4:11: `entropy` is a number"),
        (rule("regex = 'a'\nkeywords = ['b', '']"), "r.toml:4:18: an empty word"),
        (rule("regex = 'a'\nkeywords = 'b'"), "r.toml:4:12: `keywords` is an array"),
        (rule("regex = 'a'\nrandomness = 2"), "r.toml:4:1: unknown key `randomness`"),
        (rule("regex = 'a'\nskipReport = true"), "r.toml:4:1: `skipReport` is not supported"),
        (rule("regex = 'a'\n[[rules.required]]\nid = 'b'"), "r.toml:4:9: `required` is not supported"),
        (rule("regex = 'a'\nREGEX = 'b'"), "r.toml:"),
        (rule("path = 'a{1000}{1000}'"), "r.toml:3:16: a repetition of a repetition"),
        (rule("regex = '(?:a{1000}){10000}'"), "r.toml:3:9: the regex takes more than"),
        (rule("regex = 'a'\n[[rules]]\nid = 'a'\nregex = 'b'"), "r.toml:5:6: there is another rule `a` on line 1"),
        (rule("regex = 'a'\n[[rules.allowlists]]\ncondition = 'XOR'\npaths = ['a']"), "r.toml:5:13: neither AND nor OR"),
        (rule("regex = 'a'\n[[rules.allowlists]]\nregexTarget = 'file'"), "r.toml:5:15: neither secret"),
        (rule("regex = 'a'\n[[rules.allowlists]]\ndescription = 'x'"), "r.toml:4:1: an allowlist without"),
        (rule("regex = 'a'\n[[rules.allowlists]]\nregexes = ['a', 'b)']"), "r.toml:5:19: unopened group"),
        (rule("regex = 'a'\n[rules.allowlist]\npaths = ['a']\n[[rules.allowlists]]\npaths = ['a']"), "r.toml:4:8: `allowlist` is the old"),
        (rule("regex = 'a'\n[[allowlists]]\ntargetRules = ['b']\npaths = ['a']"), "r.toml:5:16: there is no rule `b`"),
    ] {
        let error = toml(&text).map(drop).expect_err(&text).to_string();
        assert!(error.starts_with(shown), "{text}\ngives {error}");
    }
    let error = toml(b"a = '\xFF'").unwrap_err().to_string();
    assert!(error.starts_with("r.toml:1:6: not UTF-8"), "{error}");
    let mut rules = toml(rule("regex = 'a'")).unwrap();
    let twice = rules.add(Path::new("s.toml"), rule("regex = 'b'").as_bytes());
    let error = twice.unwrap_err().to_string();
    assert!(
        error.starts_with("s.toml:1:1: r.toml has a rule `a`, too"),
        "{error}"
    );
    assert_eq!(rules.rules().len(), 1);
}

/// Deep, long and binary files are refused or read, without a panic or an overflowing stack.
#[test]
fn hostile_files_are_refused() {
    for text in [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a{} = 1", ".a".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        "\0".repeat(1000),
        format!("[[rules]]\nid = 'a'\nregex = '{}'", "(".repeat(100_000)),
        format!(
            "[[rules]]\nid = 'a'\nregex = 'a{{1000}}{}'",
            "(?:b{1000}){1000}".repeat(20)
        ),
    ] {
        let error = toml(&text).unwrap_err();
        assert!(error.to_string().len() < 4096);
    }
    assert!(list("a\t".to_owned() + &"(".repeat(1 << 20)).is_err());
    let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GRISTMILL_RULES_SEED"));
    for _ in 0..500 {
        // A part of a file, with a few bytes changed.
        let mut text = TOML[..random.usize(..=TOML.len())].to_vec();
        for _ in 0..random.usize(..4) {
            if let Some(byte) = random.choose_multiple(text.iter_mut(), 1).pop() {
                *byte = random.u8(..);
            }
        }
        let _ = toml(&text);
        let _ = list(&text);
    }
}

#[test]
fn allowlists_mean_what_gitleaks_says() {
    let rules = |lists: &str| {
        let rule = "[[rules]]\nid = 'a'\nregex = '''key=(\\w+)'''\n";
        toml(format!("{rule}{lists}")).unwrap()
    };
    let finds = |lists: &str, path: &str, line: &str| judge(&rules(lists), path, line).is_some();
    let list = "[[rules.allowlists]]\n";
    for (lists, path, line, found) in [
        ("", "p", "key=abc", true),
        // The secret, the match and the line are different texts.
        ("regexes = ['^abc$']", "p", "x key=abc", false),
        ("regexes = ['key']", "p", "x key=abc", true),
        (
            "regexTarget = 'match'\nregexes = ['^key']",
            "p",
            "x key=abc",
            false,
        ),
        (
            "regexTarget = 'match'\nregexes = ['x']",
            "p",
            "x key=abc",
            true,
        ),
        (
            "regexTarget = 'line'\nregexes = ['^x']",
            "p",
            "x key=abc",
            false,
        ),
        // Stop words stand in the secret, in either case.
        ("stopwords = ['AB']", "p", "key=xabx", false),
        ("stopwords = ['key']", "p", "key=xabx", true),
        // Any of the conditions, or all of them.
        ("paths = ['^p$']\nregexes = ['z']", "p", "key=abc", false),
        (
            "condition = 'AND'\npaths = ['^p$']\nregexes = ['z']",
            "p",
            "key=abc",
            true,
        ),
        (
            "condition = 'and'\npaths = ['^p$']\nregexes = ['b']",
            "p",
            "key=abc",
            false,
        ),
        (
            "condition = '&&'\npaths = ['^p$']\nregexes = ['b']",
            "q",
            "key=abc",
            true,
        ),
        (
            "condition = 'AND'\nstopwords = ['b']\nregexes = ['b']",
            "q",
            "key=abc",
            false,
        ),
        (
            "condition = 'AND'\nstopwords = ['c']\nregexes = ['z']",
            "q",
            "key=abc",
            true,
        ),
        ("condition = 'AND'\npaths = ['p']", "p", "key=abc", false),
        // No file is of a commit.
        ("commits = ['1234567']", "p", "key=abc", true),
        (
            "commits = ['1234567']\nregexes = ['b']",
            "p",
            "key=abc",
            false,
        ),
        (
            "condition = 'AND'\ncommits = ['1234567']\nregexes = ['b']",
            "p",
            "key=abc",
            true,
        ),
    ] {
        let lists = if lists.is_empty() {
            String::new()
        } else {
            format!("{list}{lists}")
        };
        assert_eq!(finds(&lists, path, line), found, "{lists} {path} {line}");
    }
    let targeted = "[[allowlists]]\ntargetRules = ['a']\nregexes = ['b']";
    assert!(!finds(targeted, "p", "key=abc"));
    let global = "[allowlist]\nregexes = ['b']";
    assert!(!finds(global, "p", "key=abc"));
    assert!(finds(global, "p", "key=xyz"));
}

#[test]
fn the_secret_is_the_group_that_the_rule_names() {
    let secret = |rest: &str, line: &str| {
        let rules = toml(format!("[[rules]]\nid = 'a'\n{rest}")).unwrap();
        judge(&rules, "p", line).map(|(_, secret)| secret)
    };
    let some = |secret: &str| Some(secret.to_owned());
    assert_eq!(secret("regex = 'key=\\w+'", "a key=b"), some("key=b"));
    assert_eq!(secret("regex = '(z)?k=(\\w)(\\w)'", "k=bc"), some("b"));
    assert_eq!(
        secret("regex = 'k=(\\w)(\\w)'\nsecretGroup = 2", "k=bc"),
        some("c")
    );
    assert_eq!(
        secret("regex = 'k=(\\w)(z)?'\nsecretGroup = 2", "k=bc"),
        some("")
    );
    // Newlines at the ends are not part of a match; what the group needed there may be missing.
    assert_eq!(
        secret("regex = '(?s)\\n*k=(\\w+)\\n'", "\n\nk=bc\n"),
        some("\n\nk=bc\n".trim())
    );
    assert_eq!(secret("regex = 'k=(\\w+)(?:\\n|$)'", "k=bc\n"), some("bc"));
}

#[test]
fn a_keyword_stands_in_the_match_or_is_asked_for() {
    let rules = toml("[[rules]]\nid = 'a'\nregex = 'pat[0-9]+'\nkeywords = ['AirTable']").unwrap();
    assert_eq!(rules.rules()[0].keywords_of_file(), ["airtable"]);
    assert!(judge(&rules, "p", "pat12").unwrap().0.needs_keyword);
    let rules = toml("[[rules]]\nid = 'a'\nregex = '(?i)key[0-9]+'\nkeywords = ['KEY']").unwrap();
    assert_eq!(rules.rules()[0].keywords_of_file(), [] as [&str; 0]);
    assert!(!judge(&rules, "p", "Key12").unwrap().0.needs_keyword);
}
