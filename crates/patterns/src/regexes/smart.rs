//! Smart case: whether patterns are taken in either case because they hold no upper-case letter.

use crate::{Case, LineSettings};
use regex_syntax::ast::{self, Ast, ClassSetItem, Visitor};

/// Whether letters of these patterns match in either case under [`Case::Smart`], as ripgrep decides it: the patterns hold
/// a character that stands for itself, and none of these is an upper-case letter. A regex that does not parse, and will be
/// refused, decides nothing.
pub fn smart_case<P: AsRef<[u8]>>(patterns: &[P], settings: &LineSettings) -> bool {
    if settings.fixed_strings {
        return Case::Smart.folds(patterns);
    }
    let mut letters = Letters::default();
    for pattern in patterns {
        let Ok(text) = std::str::from_utf8(pattern.as_ref()) else {
            continue;
        };
        if let Ok(ast) = ast::parse::Parser::new().parse(text) {
            // It fails with nothing.
            let _: Result<(), ()> = ast::visit(&ast, &mut letters);
        }
    }
    letters.any && !letters.upper
}

/// What characters stand for themselves.
#[derive(Default)]
struct Letters {
    any: bool,
    upper: bool,
}

impl Letters {
    fn see(&mut self, character: char) {
        self.any = true;
        self.upper |= character.is_uppercase();
    }
}

impl Visitor for &mut Letters {
    type Output = ();
    type Err = ();

    fn finish(self) -> Result<(), ()> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), ()> {
        if let Ast::Literal(literal) = ast {
            self.see(literal.c);
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), ()> {
        match item {
            ClassSetItem::Literal(literal) => self.see(literal.c),
            ClassSetItem::Range(range) => {
                self.see(range.start.c);
                self.see(range.end.c);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_letters_that_stand_for_themselves_count() {
        let settings = LineSettings::default();
        for (patterns, fold) in [
            (&["abc", r"\W+x"][..], true),
            (&["abc", "D"], false),
            (&["[A-Z]"], false),
            (&[r"\pL", r"\S"], false),
            (&["(", "x"], true),
        ] {
            assert_eq!(smart_case(patterns, &settings), fold, "{patterns:?}");
        }
    }
}
