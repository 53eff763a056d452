//! Tables of numbers, either built here or located in a set that was read.

use super::error::SetError;
use super::file::Section;
use bytemuck::AnyBitPattern;
use std::ops::Deref;

/// Numbers in a row. Those of a set that was read stay where they are, and keep it in memory.
#[derive(Clone)]
pub(crate) enum Table<T> {
    Own(Vec<T>),
    /// A section that holds whole elements.
    Part(Section),
}

impl<T: AnyBitPattern> Table<T> {
    /// The elements of a section, as many as it has.
    ///
    /// # Errors
    /// If its length is no multiple of an element's.
    pub fn of(section: &Section) -> Result<Self, SetError> {
        let each = size_of::<T>();
        if bytemuck::try_cast_slice::<u8, T>(section.bytes()).is_err() {
            let what = format!("its length is no multiple of {each} bytes");
            return Err(section.damaged(0, what));
        }
        Ok(Self::Part(section.clone()))
    }
}

impl<T: AnyBitPattern> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Own(all) => all,
            Self::Part(section) => bytemuck::try_cast_slice(section.bytes()).unwrap_or_default(),
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
