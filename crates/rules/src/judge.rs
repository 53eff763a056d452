//! Whether a match is a finding.
//!
//! The steps are gitleaks': newlines at the ends of a match are dropped, the secret is a group of the rule's regex in
//! the rest, its entropy must exceed the rule's, a line with `gitleaks:allow` is skipped, and then the allowlists are
//! checked.

use crate::allowlist::Asked;
use crate::engine::Regexes;
use crate::set::{PathRules, RuleSet};
use memchr::memmem::Finder;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

/// A line that holds this has no findings.
const ALLOW: &[u8] = b"gitleaks:allow";
static ALLOW_FINDER: OnceLock<Finder<'static>> = OnceLock::new();

/// A match of a rule's regex.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// The rule's number.
    pub rule: u32,
    /// What the regex matched.
    pub text: &'a [u8],
    /// The lines on which the match lies, without the newlines around them, or as much of them as is known: `text` and
    /// what stands before and behind it.
    pub line: &'a [u8],
}

/// What is found in a match.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The match without newlines at its ends, as places in [`Matched::text`].
    pub matched: Range<usize>,
    /// The secret, as places in [`Matched::text`].
    pub secret: Range<usize>,
    /// The entropy of the secret, in bits for each byte.
    pub entropy: f64,
    /// Whether a keyword of the rule must stand elsewhere in the file, because none is part of the match: one of
    /// [`Rule::keywords_of_file`](crate::Rule::keywords_of_file).
    pub needs_keyword: bool,
}

impl RuleSet {
    /// Says whether a match is a finding. `path` is [`RuleSet::at_path`] for the file.
    ///
    /// # Panics
    /// If no rule has the match's number, or `path` was made by another set.
    #[must_use]
    pub fn judge(&self, path: &PathRules, matched: &Matched<'_>) -> Option<Finding> {
        let rule = &self.rules[matched.rule as usize];
        if !path.applies(matched.rule, rule.file) {
            return None;
        }
        let text = matched.text;
        let details = rule.details.as_deref();
        let keywords = details.and_then(|details| details.keywords.as_ref());
        // Only what is not ASCII has a letter that the regex takes for one of a keyword, and that is none.
        let implied = details.is_some_and(|details| details.keyword_implied) && text.is_ascii();
        let needs_keyword = !implied && keywords.is_some_and(|keywords| !keywords.are_in(text));
        if needs_keyword && rule.keywords_of_file().is_empty() {
            return None;
        }
        let start = text.iter().take_while(|byte| **byte == b'\n').count();
        let newlines = text[start..].iter().rev();
        let end = text.len() - newlines.take_while(|byte| **byte == b'\n').count();
        let trimmed = &text[start..end];
        let secret = details
            .and_then(|details| secret(details.groups.as_ref()?, details.secret_group, trimmed))
            .unwrap_or(0..trimmed.len());
        let value = &trimmed[secret.clone()];
        let entropy = entropy(value);
        let finding = Finding {
            matched: start..end,
            secret: start + secret.start..start + secret.end,
            entropy,
            needs_keyword,
        };
        let Some(details) = details else {
            return Some(finding);
        };
        if details.entropy != 0.0 && entropy <= details.entropy {
            return None;
        }
        let allow = ALLOW_FINDER.get_or_init(|| Finder::new(ALLOW));
        if allow.find(matched.line).is_some() {
            return None;
        }
        let asked = Asked {
            path: &path.path,
            secret: value,
            matched: trimmed,
            line: matched.line,
        };
        let of_file = &self.files[rule.file as usize].allowlists;
        let mut lists = of_file.iter().chain(&details.allowlists);
        (!lists.any(|list| list.allows(&asked))).then_some(finding)
    }
}

/// The group that is the secret: `group`, or the first that is not empty if that is 0. None if the regex, tried on the
/// match alone, does not match or has no such group in it; then all is the secret.
fn secret(regexes: &Regexes, group: usize, text: &[u8]) -> Option<Range<usize>> {
    let mut groups = regexes.groups(text)?;
    if let Some(group) = group.checked_sub(1) {
        // A group that takes no part in the match is an empty secret.
        let secret = groups.get_mut(group).and_then(Option::take);
        return Some(secret.unwrap_or(0..0));
    }
    groups.into_iter().flatten().find(|group| !group.is_empty())
}

/// Shannon's entropy of a text by its characters. Their frequency is counted among its bytes, as gitleaks counts it.
#[allow(clippy::cast_precision_loss)] // Texts are far shorter than what loses precision.
fn entropy(text: &[u8]) -> f64 {
    let mut ascii = [0u32; 128];
    let mut others: HashMap<char, u32> = HashMap::new();
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match ascii.get_mut(character as usize) {
                Some(count) => *count += 1,
                None => *others.entry(character).or_default() += 1,
            }
        }
        for _ in chunk.invalid() {
            *others.entry(char::REPLACEMENT_CHARACTER).or_default() += 1;
        }
    }
    let bytes = text.len() as f64;
    let mut others: Vec<u32> = others.into_values().collect();
    // In an order of its own, so that the sum does not depend on the map's.
    others.sort_unstable();
    let counts = ascii.into_iter().chain(others).filter(|count| *count > 0);
    // Most characters are as many as others.
    let mut known = [None; 16];
    let of_count = |count: u32| {
        let frequency = f64::from(count) / bytes;
        -frequency * frequency.log2()
    };
    counts
        .map(|count| match known.get_mut(count as usize) {
            Some(known) => *known.get_or_insert_with(|| of_count(count)),
            None => of_count(count),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_that_of_characters_among_bytes() {
        for (text, bits) in [
            (&b""[..], 0.0),
            (b"aaaa", 0.0),
            (b"abab", 1.0),
            (b"abcd", 2.0),
            (b"0123456789abcdef", 4.0),
            // One character of two bytes.
            ("é".as_bytes(), 0.5),
            // Each byte that is no text is the same character.
            (b"\xFF\xFE", 0.0),
        ] {
            assert!((entropy(text) - bits).abs() < 1e-12, "{text:?}");
        }
    }
}
