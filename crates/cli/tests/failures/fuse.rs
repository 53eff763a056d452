//! A file system whose files fail as configured, served by the test itself.

use crate::world::{skipped, Scratch};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Threads that serve reads, so that some may be slow while others are not.
const THREADS: usize = 8;

const FOR_EVER: Duration = Duration::from_secs(3600);

type Pause = Arc<dyn Fn(u64) + Send + Sync>;

/// A file and how it fails.
#[derive(Clone)]
pub struct Faulty {
    name: OsString,
    bytes: Arc<Vec<u8>>,
    told: u64,
    cached: bool,
    lookup: Option<Errno>,
    open: Option<Errno>,
    error_at: Option<u64>,
    most: fn(u64) -> usize,
    pause: Option<Pause>,
    closing: Option<Pause>,
    writable: bool,
}

impl Faulty {
    /// A file without faults. It is read past the page cache, so that the tool gets exactly the answers that the test
    /// gives.
    pub fn new(name: impl Into<OsString>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            told: bytes.len() as u64,
            bytes: Arc::new(bytes),
            cached: false,
            lookup: None,
            open: None,
            error_at: None,
            most: |_| usize::MAX,
            pause: None,
            closing: None,
            writable: false,
        }
    }

    /// Makes its attributes give this size.
    pub fn told(mut self, size: u64) -> Self {
        self.told = size;
        self
    }

    /// Reads it through the page cache, whose rules then apply: reads are in pages, and a short answer means the end.
    pub fn cached(mut self) -> Self {
        self.cached = true;
        self
    }

    /// Lists it, but answers that it does not exist when it is looked up.
    pub fn gone(mut self) -> Self {
        self.lookup = Some(Errno::ENOENT);
        self
    }

    /// Makes opening it fail.
    pub fn unopenable(mut self, error: Errno) -> Self {
        self.open = Some(error);
        self
    }

    /// Makes reads of the byte at `offset` and of later bytes fail.
    pub fn error_at(mut self, offset: u64) -> Self {
        self.error_at = Some(offset);
        self
    }

    /// Limits a read at an offset to `most` of that offset bytes, but at least one.
    pub fn short(mut self, most: fn(u64) -> usize) -> Self {
        self.most = most;
        self
    }

    /// Calls `pause` with the offset before each read or write is answered.
    pub fn pause(mut self, pause: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.pause = Some(Arc::new(pause));
        self
    }

    /// Calls `pause` before the closing of a descriptor is answered.
    pub fn pause_closing(mut self, pause: impl Fn() + Send + Sync + 'static) -> Self {
        self.closing = Some(Arc::new(move |_| pause()));
        self
    }

    /// Accepts writes, which have no effect.
    pub fn writable(mut self) -> Self {
        self.writable = true;
        self
    }

    fn attributes(&self, ino: INodeNo) -> FileAttr {
        FileAttr {
            size: self.told,
            kind: FileType::RegularFile,
            perm: 0o444,
            nlink: 1,
            ..directory_attributes(ino)
        }
    }

    /// The answer to one read.
    fn read(&self, offset: u64, size: u32) -> Result<&[u8], Errno> {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let mut end = start
            .saturating_add((self.most)(offset).min(size as usize))
            .min(self.bytes.len());
        if let Some(error_at) = self.error_at {
            if offset >= error_at || (self.cached && offset + u64::from(size) > error_at) {
                return Err(Errno::EIO);
            }
            end = end.min(usize::try_from(error_at).unwrap_or(usize::MAX));
        }
        Ok(&self.bytes[start..end])
    }
}

fn directory_attributes(ino: INodeNo) -> FileAttr {
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::Directory,
        perm: 0o755,
        nlink: 2,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: 4096,
    }
}

struct FaultyFiles(Vec<Faulty>);

impl FaultyFiles {
    /// The file of an inode: the root is 1, files count from 2.
    fn get(&self, ino: INodeNo) -> Option<&Faulty> {
        let index = u64::from(ino).checked_sub(2)?;
        self.0.get(usize::try_from(index).ok()?)
    }
}

fn ino(index: usize) -> INodeNo {
    INodeNo(index as u64 + 2)
}

impl Filesystem for FaultyFiles {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.0.iter().position(|file| file.name == name) {
            None => reply.error(Errno::ENOENT),
            Some(index) => match self.0[index].lookup {
                Some(error) => reply.error(error),
                None => {
                    let attributes = self.0[index].attributes(ino(index));
                    reply.entry(&FOR_EVER, &attributes, Generation(0));
                }
            },
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.get(ino) {
            Some(file) => reply.attr(&FOR_EVER, &file.attributes(ino)),
            None => reply.attr(&FOR_EVER, &directory_attributes(ino)),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.get(ino) {
            None => reply.error(Errno::ENOENT),
            Some(Faulty {
                open: Some(error), ..
            }) => reply.error(*error),
            Some(file) if file.cached => reply.opened(FileHandle(0), FopenFlags::empty()),
            Some(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.get(ino) else {
            return reply.error(Errno::ENOENT);
        };
        if let Some(pause) = &file.pause {
            pause(offset);
        }
        match file.read(offset, size) {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if let Some(pause) = self.get(ino).and_then(|file| file.pause.as_ref()) {
            pause(offset);
        }
        reply.written(u32::try_from(data.len()).unwrap());
    }

    fn flush(&self, _: &Request, ino: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        if let Some(pause) = self.get(ino).and_then(|file| file.closing.as_ref()) {
            pause(0);
        }
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, file) in self.0.iter().enumerate().skip(skip) {
            let next = index as u64 + 1;
            if reply.add(ino(index), next, FileType::RegularFile, &file.name) {
                break;
            }
        }
        reply.ok();
    }
}

/// A mounted file system of faulty files, unmounted when dropped.
pub struct Mounted {
    directory: Scratch,
    session: Option<BackgroundSession>,
}

/// Mounts a file system of these files. If that is not possible, says so and returns `None`.
pub fn mount(files: impl IntoIterator<Item = Faulty>) -> Option<Mounted> {
    let directory = Scratch::new();
    let mut config = Config::default();
    let files = FaultyFiles(files.into_iter().collect());
    config.mount_options = vec![MountOption::FSName("faulty".into())];
    if !files.0.iter().any(|file| file.writable) {
        config.mount_options.push(MountOption::RO);
    }
    config.n_threads = Some(THREADS);
    match fuser::spawn_mount(files, directory.path(), &config) {
        Ok(session) => Some(Mounted {
            directory,
            session: Some(session),
        }),
        Err(error) => {
            skipped(format_args!("no FUSE file system can be mounted: {error}"));
            None
        }
    }
}

impl Mounted {
    pub fn path(&self) -> PathBuf {
        self.directory.path().into()
    }

    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            if std::thread::panicking() {
                // Threads that still use the file system may be stuck: make their requests fail, since otherwise this
                // process could not end, and do not wait for the session.
                let _ = Command::new("umount")
                    .arg("-fl")
                    .arg(self.directory.path())
                    .status();
                std::mem::forget(session);
            } else {
                // The mount may be busy for a moment if another test has just forked and its child holds this test's
                // files.
                let path = self.directory.path();
                for _ in 0..100 {
                    let busy = Command::new("umount").arg(path).output();
                    if busy.is_ok_and(|umount| umount.status.success()) {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                // The serving threads end with an error, since the mount is gone.
                let _ = session.umount_and_join();
            }
        }
    }
}
