//! Tables of numbers that are made here, or lie in a set that was read.

use super::error::SetError;
use super::file::Section;
use bytemuck::AnyBitPattern;
use std::ops::Deref;
use std::sync::Arc;

/// Numbers in a row. Those of a set that was read stay where they are, and keep it in memory.
#[derive(Clone)]
pub(crate) enum Table<T> {
    Own(Vec<T>),
    Part {
        words: Arc<Vec<u64>>,
        /// The place of the first of `words`, and behind the last.
        from: usize,
        until: usize,
        /// The number of elements. There may be room for one more in the last word.
        len: usize,
    },
}

impl<T: AnyBitPattern> Table<T> {
    /// The elements of a section, as many as it has.
    ///
    /// # Errors
    /// If its length is no multiple of an element's.
    pub fn of(section: &Section) -> Result<Self, SetError> {
        let (words, range) = section.words();
        let len = section.len() / size_of::<T>();
        let table = Self::Part {
            words: Arc::clone(words),
            from: range.start,
            until: range.end,
            len,
        };
        if len * size_of::<T>() != section.len() || table.len() != len {
            let each = size_of::<T>();
            let what = format!("its length is no multiple of {each} bytes");
            return Err(section.damaged(0, what));
        }
        Ok(table)
    }
}

impl<T: AnyBitPattern> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Own(all) => all,
            Self::Part {
                words,
                from,
                until,
                len,
            } => {
                let words = words.get(*from..*until).unwrap_or_default();
                let all = bytemuck::try_cast_slice(words).unwrap_or_default();
                all.get(..*len).unwrap_or_default()
            }
        }
    }
}

impl<T> From<Vec<T>> for Table<T> {
    fn from(all: Vec<T>) -> Self {
        Self::Own(all)
    }
}

impl<T: AnyBitPattern + std::fmt::Debug> std::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
