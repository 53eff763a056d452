//! A file as the reader of Parquet wants it.

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// A file of which no bytes are asked for that it does not have.
pub struct Sized {
    pub file: File,
    pub length: u64,
}

impl Sized {
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let (file, length) = (self.file.try_clone()?, self.length);
        Ok(Self { file, length })
    }
}

impl Length for Sized {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Sized {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(ParquetError::General(format!(
                "{length} bytes from {start} on, where it has {}",
                self.length
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}
