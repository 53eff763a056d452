//! Rules as part of a stored set.
//!
//! The data derived from a rule file is kept: regexes in Rust's syntax, words in lower case, and whether each match of
//! a regex contains a keyword. Regexes are validated, and compiled when they are first needed.

use crate::allowlist::{Allowlist, Target};
use crate::engine::Regexes;
use crate::go;
use crate::keywords::Words;
use crate::rule::{Details, Rule};
use crate::set::{RuleFile, RuleSet};
use gristmill_patterns::saved::{FieldReader, FieldWriter, SetError};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The fewest bytes of a rule, a file and an allowlist.
const RULE: usize = 14;
const FILE: usize = 8;
const ALLOWLIST: usize = 6;

impl RuleSet {
    /// Writes the rules.
    pub fn save(&self, fields: &mut FieldWriter) {
        fields.count(self.files.len());
        for file in &self.files {
            fields.bytes(file.path.as_os_str().as_bytes());
            save_allowlists(fields, &file.allowlists);
        }
        fields.option(self.no_file, FieldWriter::u32);
        fields.count(self.rules.len());
        for rule in &self.rules {
            fields.bytes(rule.id.as_bytes());
            let pattern = rule.pattern.as_deref();
            fields.option(pattern, |fields, pattern| fields.bytes(pattern.as_bytes()));
            fields.u32(rule.file);
            fields.u32(rule.line);
            fields.option(rule.details.as_deref(), save_details);
        }
    }

    /// Reads rules that [`save`](Self::save) has written.
    ///
    /// The regexes of rules are not looked at: whoever searches for them refuses what is wrong.
    ///
    /// # Errors
    /// What is wrong with a field.
    pub fn load(fields: &mut FieldReader<'_>) -> Result<Self, SetError> {
        let mut set = Self::default();
        for _ in 0..fields.count(FILE)? {
            set.files.push(RuleFile {
                path: PathBuf::from(OsStr::from_bytes(fields.bytes()?)),
                allowlists: load_allowlists(fields)?,
            });
        }
        let files = set.files.len();
        let file = |fields: &mut FieldReader<'_>| {
            let file = fields.u32()?;
            match (file as usize) < files {
                true => Ok(file),
                false => Err(fields.damaged(4, "a file that is not there")),
            }
        };
        set.no_file = fields.option(file)?;
        for number in (0..).take(fields.count(RULE)?) {
            let id = fields.text()?.into();
            let pattern = fields.option(|fields| Ok(fields.text()?.into()))?;
            let rule = Rule {
                file: file(fields)?,
                line: fields.u32()?,
                details: fields.option(|fields| load_details(fields, pattern.as_deref()))?,
                id,
                pattern,
            };
            let path = rule
                .details
                .as_ref()
                .is_some_and(|details| details.path.is_some());
            if rule.pattern.is_none() && !path {
                return Err(fields.damaged(0, "a rule with neither a regex nor a path"));
            }
            if rule.asks_for_path() {
                set.by_path.push(number);
            }
            set.rules.push(rule);
        }
        Ok(set)
    }
}

fn save_details(fields: &mut FieldWriter, details: &Details) {
    fields.bytes(details.description.as_bytes());
    fields.u8(u8::from(details.groups.is_some()));
    fields.u64(details.secret_group as u64);
    fields.u64(details.entropy.to_bits());
    fields.option(details.path.as_ref(), save_regexes);
    fields.option(details.keywords.as_ref(), save_words);
    fields.u8(u8::from(details.keyword_implied));
    save_texts(fields, &details.tags);
    save_allowlists(fields, &details.allowlists);
}

fn load_details(
    fields: &mut FieldReader<'_>,
    pattern: Option<&str>,
) -> Result<Box<Details>, SetError> {
    let description = fields.text()?.to_owned();
    let groups = match (fields.flag()?, pattern) {
        (true, Some(pattern)) => Some(Regexes::stored(vec![pattern.to_owned()])),
        (true, None) => return Err(fields.damaged(1, "groups without a regex")),
        (false, _) => None,
    };
    let secret_group = usize::try_from(fields.u64()?).unwrap_or(usize::MAX);
    let entropy = f64::from_bits(fields.u64()?);
    if !entropy.is_finite() || entropy < 0.0 {
        return Err(fields.damaged(8, "an entropy that is no number of bits"));
    }
    Ok(Box::new(Details {
        description,
        groups,
        secret_group,
        entropy,
        path: fields.option(load_regexes)?,
        keywords: fields.option(load_words)?,
        keyword_implied: fields.flag()?,
        tags: load_texts(fields)?,
        allowlists: load_allowlists(fields)?,
    }))
}

fn save_allowlists(fields: &mut FieldWriter, all: &[Allowlist]) {
    fields.count(all.len());
    for list in all {
        fields.u8(u8::from(list.all));
        fields.u8(u8::from(list.commits));
        fields.option(list.paths.as_ref(), save_regexes);
        fields.option(list.regexes.as_ref(), save_regexes);
        fields.u8(match list.target {
            Target::Secret => 0,
            Target::Match => 1,
            Target::Line => 2,
        });
        fields.option(list.stopwords.as_ref(), save_words);
    }
}

fn load_allowlists(fields: &mut FieldReader<'_>) -> Result<Vec<Allowlist>, SetError> {
    let count = fields.count(ALLOWLIST)?;
    (0..count)
        .map(|_| {
            let list = Allowlist {
                all: fields.flag()?,
                commits: fields.flag()?,
                paths: fields.option(load_regexes)?,
                regexes: fields.option(load_regexes)?,
                target: match fields.u8()? {
                    0 => Target::Secret,
                    1 => Target::Match,
                    2 => Target::Line,
                    _ => return Err(fields.damaged(1, "neither secret, match nor line")),
                },
                stopwords: fields.option(load_words)?,
            };
            let texts = list.paths.is_some() || list.regexes.is_some();
            if !texts && list.stopwords.is_none() && !list.commits {
                return Err(fields.damaged(0, "before it, an allowlist that allows nothing"));
            }
            Ok(list)
        })
        .collect()
}

fn save_texts(fields: &mut FieldWriter, texts: &[String]) {
    fields.count(texts.len());
    texts.iter().for_each(|text| fields.bytes(text.as_bytes()));
}

fn load_texts(fields: &mut FieldReader<'_>) -> Result<Vec<String>, SetError> {
    let count = fields.count(4)?;
    (0..count).map(|_| Ok(fields.text()?.to_owned())).collect()
}

fn save_regexes(fields: &mut FieldWriter, regexes: &Regexes) {
    save_texts(fields, regexes.texts());
}

fn load_regexes(fields: &mut FieldReader<'_>) -> Result<Regexes, SetError> {
    let texts = load_texts(fields)?;
    if texts.is_empty() {
        return Err(fields.damaged(4, "a list without a regex"));
    }
    for text in &texts {
        if let Err(error) = go::check(text) {
            return Err(fields.damaged(0, format!("before it, a regex: {error}")));
        }
    }
    Ok(Regexes::stored(texts))
}

fn save_words(fields: &mut FieldWriter, words: &Words) {
    save_texts(fields, words.words());
}

fn load_words(fields: &mut FieldReader<'_>) -> Result<Words, SetError> {
    let words = load_texts(fields)?;
    if words.is_empty() || words.iter().any(String::is_empty) {
        return Err(fields.damaged(0, "before it, an empty word or list of words"));
    }
    Ok(Words::stored(words))
}
