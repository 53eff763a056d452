//! The identity of a file, independent of its names.

use std::os::fd::AsFd;

/// A file's device and inode, which identify it whatever its names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The identity of an open file.
    ///
    /// # Errors
    /// The system's error.
    pub fn of(file: &impl AsFd) -> std::io::Result<Self> {
        Ok(Self::new(&rustix::fs::fstat(file)?))
    }

    pub(crate) fn new(found: &rustix::fs::Stat) -> Self {
        Self {
            device: found.st_dev,
            inode: found.st_ino,
        }
    }

    /// The number of the device that the file lies on.
    #[must_use]
    pub fn device(&self) -> u64 {
        self.device
    }

    /// The number of its inode, by which the device's file system knows it.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The identity of the regular file to which standard output goes, if it goes to one.
    pub fn of_redirected_stdout() -> Option<Self> {
        let found = rustix::fs::fstat(std::io::stdout()).ok()?;
        let kind = rustix::fs::FileType::from_raw_mode(found.st_mode);
        (kind == rustix::fs::FileType::RegularFile).then(|| Self::new(&found))
    }

    /// Whether both files lie on the same file system.
    pub(super) fn is_on_device_of(self, other: Self) -> bool {
        self.device == other.device
    }

    /// Whether the inode has this number, on whichever device.
    pub(super) fn has_inode(self, inode: u64) -> bool {
        self.inode == inode
    }
}
