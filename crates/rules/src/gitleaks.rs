//! Rule files in gitleaks' TOML, as the README of gitleaks 8.30 describes them.
//!
//! Key names are case-insensitive, as in gitleaks. Unsupported keys are errors with their position: unknown keys,
//! `extend`, `required` and `skipReport`. Commits in an allowlist have no effect on plain files: a file belongs to no
//! commit, so none is allowed by its commit.

mod document;

use crate::allowlist::{Allowlist, Target};
use crate::engine::Regexes;
use crate::error::RuleError;
use crate::go;
use crate::keywords::Words;
use crate::rule::{Details, Rule};
use document::{Document, Key, Value};
use regex_syntax::hir::Hir;
use std::collections::HashMap;
use std::path::Path;

/// The version whose rule files are understood.
const VERSION: (u64, u64) = (8, 30);

/// A TOML file's rules, and the allowlists that hold for all of them.
pub(crate) struct File {
    pub rules: Vec<Rule>,
    pub allowlists: Vec<Allowlist>,
}

/// An allowlist for all rules, or for those that it names.
struct Global<'a> {
    list: Allowlist,
    targets: Vec<(String, &'a Value<'a>)>,
}

/// Reads a TOML file, which is the file with the number `file`.
pub(crate) fn read(path: &Path, bytes: &[u8], file: u32) -> Result<File, RuleError> {
    let text = Document::text(path, bytes)?;
    let (document, table) = Document::parse(path, text)?;
    let mut rules: Vec<Rule> = Vec::new();
    let mut lines: HashMap<Box<str>, u32> = HashMap::new();
    let mut globals = Vec::new();
    let mut single: Option<&Key<'_>> = None;
    let mut several = false;
    for (key, value) in document.entries(table.get_ref())? {
        match key.get_ref().to_ascii_lowercase().as_str() {
            "title" | "description" => {
                document.string(key, value)?;
            }
            "minversion" => min_version(&document, key, value)?,
            "rules" => {
                for rule in document.tables(key, value)? {
                    let rule = read_rule(&document, rule, file)?;
                    if let Some(line) = lines.insert(rule.0.id.clone(), rule.0.line) {
                        let reason =
                            format!("there is another rule `{}` on line {line}", rule.0.id);
                        return Err(document.error(rule.1.span().start, reason));
                    }
                    rules.push(rule.0);
                }
            }
            "allowlist" => {
                single = Some(key);
                globals.push(read_allowlist(&document, value, true)?);
            }
            "allowlists" => {
                several = true;
                for list in document.tables(key, value)? {
                    globals.push(read_allowlist(&document, list, true)?);
                }
            }
            "extend" => {
                let reason = "`extend` is not supported: there are no rules within gristmill that a file could extend, \
                              and several rule files are given by name";
                return Err(document.error(key.span().start, reason));
            }
            _ => {
                let known = "title, description, minVersion, rules, allowlist, allowlists";
                return Err(document.unknown(key, known));
            }
        }
    }
    if let (Some(key), true) = (single, several) {
        let reason = "`allowlist` is the old name of `allowlists`; there cannot be both";
        return Err(document.error(key.span().start, reason));
    }
    let mut allowlists = Vec::new();
    for global in globals {
        if global.targets.is_empty() {
            allowlists.push(global.list);
            continue;
        }
        for (target, place) in global.targets {
            let rule = rules.iter_mut().find(|rule| *rule.id == *target);
            let Some(details) = rule.and_then(|rule| rule.details.as_mut()) else {
                let reason = format!("there is no rule `{target}`");
                return Err(document.error(place.span().start, reason));
            };
            details.allowlists.push(global.list.clone());
        }
    }
    Ok(File { rules, allowlists })
}

/// Whether files for this version are understood.
fn min_version(document: &Document<'_>, key: &Key<'_>, value: &Value<'_>) -> Result<(), RuleError> {
    let version = document.string(key, value)?;
    let mut parts = version.trim_start_matches('v').splitn(3, '.');
    let mut part = || parts.next().and_then(|part| part.parse::<u64>().ok());
    let reason = match (part(), part()) {
        (Some(major), Some(minor)) if (major, minor) <= VERSION => return Ok(()),
        (Some(_), Some(_)) => format!(
            "the file is for gitleaks {version}, and files up to {}.{} are understood",
            VERSION.0, VERSION.1
        ),
        _ => "not a version, such as v8.25.0".into(),
    };
    Err(document.error(value.span().start, reason))
}

fn read_rule<'a>(
    document: &Document<'_>,
    table: &'a Value<'a>,
    file: u32,
) -> Result<(Rule, &'a Value<'a>), RuleError> {
    let mut id = None;
    let mut pattern = None;
    let mut details = Details::default();
    let mut group = None;
    let mut old = None;
    for (key, value) in document.entries(document.table("rules", table)?)? {
        match key.get_ref().to_ascii_lowercase().as_str() {
            "id" => id = Some((document.string(key, value)?, value)),
            "description" => details.description = document.string(key, value)?.into(),
            "regex" => {
                let regex = document.string(key, value)?;
                if !regex.is_empty() {
                    pattern = Some((document.regex(regex, value)?, value));
                }
            }
            "path" => {
                let path = document.string(key, value)?;
                if !path.is_empty() {
                    details.path = Some(compile(document, value, &[(path, value)])?);
                }
            }
            "secretgroup" => {
                group = Some(value);
                details.secret_group = document.whole_number(key, value)?;
            }
            "entropy" => details.entropy = document.number(key, value)?,
            "keywords" => details.keywords = words(document, key, value)?,
            "tags" => {
                let tags = document.strings(key, value)?;
                details.tags = tags.into_iter().map(|(tag, _)| tag.to_owned()).collect();
            }
            "allowlist" => {
                old = Some(key);
                let list = read_allowlist(document, value, false)?;
                details.allowlists.push(list.list);
            }
            "allowlists" => {
                for list in document.tables(key, value)? {
                    let list = read_allowlist(document, list, false)?;
                    details.allowlists.push(list.list);
                }
            }
            "required" | "skipreport" => {
                let reason = format!(
                    "`{}` is not supported: findings that depend on other findings",
                    key.get_ref()
                );
                return Err(document.error(key.span().start, reason));
            }
            _ => {
                let known = "id, description, regex, secretGroup, entropy, keywords, path, tags, allowlists";
                return Err(document.unknown(key, known));
            }
        }
    }
    let start = table.span().start;
    let Some((id, place)) = id.filter(|(id, _)| !id.trim().is_empty()) else {
        return Err(document.error(start, "a rule without an id"));
    };
    if let Some(key) = old.filter(|_| details.allowlists.len() > 1) {
        let reason = "`allowlist` is the old name of `allowlists`; there cannot be both";
        return Err(document.error(key.span().start, reason));
    }
    match &pattern {
        Some(((rust, hir), value)) => details.prepare(rust, hir).map_err(|reason| {
            let wrong = group.filter(|_| reason.starts_with("secretGroup"));
            document.error(wrong.unwrap_or(value).span().start, reason)
        })?,
        None if details.path.is_none() => {
            let reason = format!("rule `{id}` has neither `regex` nor `path`, so it finds nothing");
            return Err(document.error(place.span().start, reason));
        }
        None => {}
    }
    let rule = Rule {
        id: id.into(),
        pattern: pattern.map(|((pattern, _), _)| pattern.into()),
        file,
        line: u32::try_from(document.line(start)).unwrap_or(u32::MAX),
        details: Some(Box::new(details)),
    };
    Ok((rule, place))
}

fn read_allowlist<'a>(
    document: &Document<'_>,
    table: &'a Value<'a>,
    global: bool,
) -> Result<Global<'a>, RuleError> {
    let mut list = Allowlist::default();
    let mut targets = Vec::new();
    for (key, value) in document.entries(document.table("allowlists", table)?)? {
        match key.get_ref().to_ascii_lowercase().as_str() {
            "description" => {
                document.string(key, value)?;
            }
            "condition" => {
                let condition = document.string(key, value)?;
                list.all = match condition.to_ascii_uppercase().as_str() {
                    "AND" | "&&" => true,
                    "" | "OR" | "||" => false,
                    _ => return Err(document.error(value.span().start, "neither AND nor OR")),
                };
            }
            "commits" => list.commits = !document.strings(key, value)?.is_empty(),
            "paths" => list.paths = regexes(document, key, value)?,
            "regexes" => list.regexes = regexes(document, key, value)?,
            "regextarget" => {
                list.target = match document.string(key, value)? {
                    "" | "secret" => Target::Secret,
                    "match" => Target::Match,
                    "line" => Target::Line,
                    _ => {
                        let reason = "neither secret, match nor line";
                        return Err(document.error(value.span().start, reason));
                    }
                };
            }
            "stopwords" => list.stopwords = words(document, key, value)?,
            "targetrules" if global => {
                let rules = document.strings(key, value)?;
                targets.extend(rules.into_iter().map(|(id, place)| (id.to_owned(), place)));
            }
            _ => {
                let known =
                    "description, condition, commits, paths, regexes, regexTarget, stopwords";
                return Err(document.unknown(key, known));
            }
        }
    }
    if !list.commits && list.paths.is_none() && list.regexes.is_none() && list.stopwords.is_none() {
        let reason = "an allowlist without commits, paths, regexes and stopwords allows nothing";
        return Err(document.error(table.span().start, reason));
    }
    Ok(Global { list, targets })
}

fn words(
    document: &Document<'_>,
    key: &Key<'_>,
    value: &Value<'_>,
) -> Result<Option<Words>, RuleError> {
    let words = document.strings(key, value)?;
    if let Some((_, empty)) = words.iter().find(|(word, _)| word.is_empty()) {
        let reason = "an empty word, which occurs everywhere";
        return Err(document.error(empty.span().start, reason));
    }
    if words.is_empty() {
        return Ok(None);
    }
    let words: Vec<&str> = words.into_iter().map(|(word, _)| word).collect();
    Ok(Some(Words::new(&words)))
}

fn regexes(
    document: &Document<'_>,
    key: &Key<'_>,
    value: &Value<'_>,
) -> Result<Option<Regexes>, RuleError> {
    let regexes = document.strings(key, value)?;
    if regexes.is_empty() {
        return Ok(None);
    }
    compile(document, value, &regexes).map(Some)
}

/// Compiles regexes of Go's syntax into one that matches where any of them does.
fn compile(
    document: &Document<'_>,
    all: &Value<'_>,
    regexes: &[(&str, &Value<'_>)],
) -> Result<Regexes, RuleError> {
    let rust: Result<Vec<(String, Hir)>, RuleError> = regexes
        .iter()
        .map(|(regex, value)| document.regex(regex, value))
        .collect();
    let (texts, meanings): (Vec<String>, Vec<Hir>) = rust?.into_iter().unzip();
    Regexes::new(texts, &meanings).map_err(|error| document.error(all.span().start, error.reason))
}

impl Document<'_> {
    /// Puts a regex, which is the string `value`, into Rust's syntax, and tells what it means.
    fn regex(&self, regex: &str, value: &Value<'_>) -> Result<(String, Hir), RuleError> {
        go::parsed(regex)
            .map_err(|error| self.error(self.within(value, error.offset), error.reason))
    }
}
