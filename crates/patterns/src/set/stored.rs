//! Sets as bytes.

use super::builder::Settings;
use super::PatternSet;
use crate::literals::Stored;
use crate::saved::{
    FieldReader, FieldWriter, Section, SetBytes, SetError, SetReader, SetWriter, Tag,
};
use crate::{Boundary, Literals};

/// What a user of a set added to it.
#[derive(Debug, Clone)]
pub struct Attached(Section);

impl Attached {
    /// Reads it field by field.
    #[must_use]
    pub fn fields(&self) -> FieldReader<'_> {
        self.0.fields()
    }
}

impl PatternSet {
    /// The set as bytes, whatever the processor. `attached` is kept with it, and means nothing here.
    #[must_use]
    pub fn save(&self, attached: Option<FieldWriter>) -> Vec<u8> {
        let mut set = SetWriter::default();
        let mut fields = FieldWriter::new();
        fields.u32(self.together);
        fields.u8(u8::from(self.settings.case_insensitive));
        fields.u8(u8::from(self.settings.unicode));
        fields.u8(u8::from(self.settings.crlf));
        fields.u8(match self.settings.boundary {
            None => 0,
            Some(Boundary::Word) => 1,
            Some(Boundary::Line) => 2,
        });
        fields.u64(self.settings.regex_size_limit as u64);
        fields.count(self.texts.len());
        for (number, text) in self.numbers.iter().zip(&self.texts) {
            fields.u32(*number);
            fields.bytes(text.as_bytes());
        }
        set.section(Tag::Set, 0, fields.finish());
        if let Some(names) = &self.names {
            let (bytes, ends) = names.view().sections();
            set.section(Tag::NameBytes, 0, bytes);
            set.section(Tag::NameEnds, 0, ends);
        }
        if let Some(strings) = &self.strings {
            strings.save(&mut set, 0);
        }
        self.regexes.save(&mut set);
        if let Some(attached) = attached {
            set.section(Tag::Attached, 0, attached.finish());
        }
        set.finish()
    }

    /// Takes a set, and what is attached to it. Its tables are used where they are. Regexes may take `memory` bytes beside
    /// them.
    ///
    /// Whatever the bytes are, this ends in a time in proportion to their number, but for the compilation of regexes, and
    /// so does every search.
    ///
    /// # Errors
    /// What is wrong with the set, and where.
    pub fn load(bytes: SetBytes, memory: usize) -> Result<(Self, Option<Attached>), SetError> {
        let mut set = SetReader::new(bytes)?;
        let strings = Literals::load(&mut set, 0)?;
        let count = strings.as_ref().map_or(0, Literals::len);
        let head = set.take(Tag::Set, 0)?;
        let mut fields = head.fields();
        let together = fields.u32()?;
        if together as usize > count {
            return Err(fields.damaged(4, "more strings together than there are"));
        }
        let settings = Settings {
            case_insensitive: fields.flag()?,
            unicode: fields.flag()?,
            crlf: fields.flag()?,
            boundary: match fields.u8()? {
                0 => None,
                1 => Some(Boundary::Word),
                2 => Some(Boundary::Line),
                _ => return Err(fields.damaged(1, "a boundary that there is not")),
            },
            regex_size_limit: usize::try_from(fields.u64()?).unwrap_or(usize::MAX),
        };
        if strings
            .as_ref()
            .is_some_and(|strings| strings.folds() != settings.case_insensitive)
        {
            return Err(fields.damaged(12, "case that strings and regexes do not share"));
        }
        let regexes = fields.count(8)?;
        let (mut numbers, mut texts) = (Vec::with_capacity(regexes), Vec::with_capacity(regexes));
        for _ in 0..regexes {
            let number = fields.u32()?;
            let behind = numbers.last().is_none_or(|last| *last < number);
            if !behind || number as usize >= count + regexes {
                return Err(fields.damaged(4, "a number that is no regex's"));
            }
            numbers.push(number);
            texts.push(fields.text()?.to_owned());
        }
        fields.end()?;
        let names = match set.find(Tag::NameEnds, 0) {
            Some(ends) => {
                let names = Stored::load(&set.take(Tag::NameBytes, 0)?, &ends, false)?;
                if names.view().len() != count + regexes {
                    return Err(ends.damaged(0, "not one name for each pattern"));
                }
                Some(names)
            }
            None if regexes > 0 => return Err(head.damaged(0, "the patterns have no names")),
            None => None,
        };
        // No regex may take what all together may not.
        let limited = Settings {
            regex_size_limit: settings.regex_size_limit.min(memory),
            ..settings
        };
        let regexes = limited.regexes(memory).load(&texts, &mut set)?;
        let attached = set.find(Tag::Attached, 0).map(Attached);
        set.end()?;
        let set = Self {
            names,
            strings,
            regexes,
            texts,
            settings,
            numbers,
            together,
        };
        Ok((set, attached))
    }
}
