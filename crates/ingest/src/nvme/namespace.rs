//! The properties of a namespace that must be known before it is read. They come from its generic character device,
//! `/dev/ngXnY`, and from sysfs.

use crate::error::ReadError;
use gristmill_protocol::PipelineError;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// The ioctl that asks a generic character device for its namespace's number.
const NVME_IOCTL_ID: libc::Ioctl = 0x4E40;
/// Bytes in a page, the unit in which a queue counts its segments.
const PAGE_BYTES: u64 = gristmill_ring::PAGE_BYTES as u64;
/// The size of the sectors in which sysfs counts, whatever the disk's block size.
pub(super) const SECTOR_BYTES: u64 = 512;

/// A run of consecutive logical blocks of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LbaRange {
    /// The first.
    pub lba: u64,
    /// How many.
    pub blocks: u64,
}

/// A namespace: its number, its geometry and the limits of its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NvmeNamespace {
    /// The generic character device's name, as in `ng0n1`.
    pub name: String,
    /// The namespace's number in its controller.
    pub id: u32,
    /// Bytes in a logical block.
    pub block_bytes: u32,
    /// Logical blocks that it has.
    pub blocks: u64,
    /// Most bytes that one command may transfer.
    pub max_transfer_bytes: u64,
    /// Most pages that one command may touch.
    pub max_segments: u64,
    /// The alignment that addresses must have, in bytes.
    pub alignment: u64,
}

impl NvmeNamespace {
    /// The namespace behind an open generic character device.
    ///
    /// # Errors
    /// [`ReadError::NotANamespace`] if the descriptor is something else, or if the namespace cannot be read by
    /// passthrough.
    pub fn of(fd: RawFd) -> Result<Self, ReadError> {
        let (kind, device) = stat_device(fd)?;
        if kind != libc::S_IFCHR {
            return Err(not_nvme("the descriptor is not a character device"));
        }
        // SAFETY: NVME_IOCTL_ID takes no argument; another kind of device refuses it.
        let id = unsafe { libc::ioctl(fd, NVME_IOCTL_ID) };
        let id = u32::try_from(id)
            .map_err(|_| not_nvme(&std::io::Error::last_os_error().to_string()))?;
        let name = device_name(Path::new("/sys/dev/char"), device)
            .ok_or_else(|| not_nvme("sysfs does not list the character device"))?;
        Self::from_sysfs(Path::new("/sys"), &name, id)
    }

    /// The generic character devices of this machine, whether or not this user may open them.
    pub fn devices() -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir("/sys/class/nvme-generic") else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| Path::new("/dev").join(entry.file_name()))
            .collect();
        paths.sort();
        paths
    }

    /// The namespace's block device, as in `nvme0n1`.
    pub fn disk(&self) -> Option<String> {
        disk_of(&self.name)
    }

    fn from_sysfs(root: &Path, name: &str, id: u32) -> Result<Self, ReadError> {
        let disk = disk_of(name).ok_or_else(|| not_nvme(&format!("it is {name}")))?;
        let directory = root.join("block").join(&disk);
        let text = |file: &str| {
            std::fs::read_to_string(directory.join(file)).map(|text| text.trim().to_owned())
        };
        let number = |file: &str| -> Result<u64, ReadError> {
            let read = text(file).map_err(|error| error.to_string());
            read.and_then(|text| text.parse().map_err(|_| format!("it says {text:?}")))
                .map_err(|why| not_nvme(&format!("{}: {why}", directory.join(file).display())))
        };
        let metadata = text("metadata_bytes").map_or_else(
            // Kernels before 6.8 do not report this, but they show a profile if there is metadata.
            |_| text("integrity/format").is_ok_and(|format| format != "none"),
            |bytes| bytes != "0",
        );
        if metadata {
            return Err(not_nvme(
                "its blocks carry metadata, for which there would be no memory",
            ));
        }
        let block_bytes = number("queue/logical_block_size")?;
        let namespace = NvmeNamespace {
            name: name.to_owned(),
            id,
            block_bytes: u32::try_from(block_bytes).unwrap_or(0),
            blocks: (number("size")? * SECTOR_BYTES)
                .checked_div(block_bytes)
                .unwrap_or(0),
            max_transfer_bytes: number("queue/max_hw_sectors_kb")? << 10,
            max_segments: number("queue/max_segments")?,
            alignment: number("queue/dma_alignment").map_or(SECTOR_BYTES, |mask| mask + 1),
        };
        let whole = block_bytes.is_power_of_two() && (512..=1 << 20).contains(&block_bytes);
        if !whole || namespace.blocks == 0 || namespace.piece_bytes(PAGE_BYTES - 1) == 0 {
            return Err(not_nvme(&format!(
                "its geometry does not suit: {namespace:?}"
            )));
        }
        Ok(namespace)
    }

    /// Whether the namespace has these blocks.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] where it does not.
    pub(crate) fn check(&self, range: LbaRange) -> Result<(), PipelineError> {
        let end = range.lba.checked_add(range.blocks);
        if end.is_some_and(|end| end <= self.blocks) {
            return Ok(());
        }
        Err(PipelineError::InvalidArgument {
            what: "blocks that the namespace does not have",
            fix: "read below its capacity, which NvmeNamespace reports",
        })
    }

    /// The most bytes, in whole blocks, that one command may transfer to `address`.
    pub(super) fn piece_bytes(&self, address: u64) -> u64 {
        let pages = (self.max_segments * PAGE_BYTES).saturating_sub(address % PAGE_BYTES);
        let blocks = self.max_transfer_bytes.min(pages) / u64::from(self.block_bytes);
        blocks.min(u64::from(super::NVME_MAX_BLOCKS)) * u64::from(self.block_bytes)
    }
}

/// The kind of file that a descriptor is, and the device that it names.
fn stat_device(fd: RawFd) -> Result<(libc::mode_t, libc::dev_t), ReadError> {
    // SAFETY: all-zero bytes are a valid `stat`, a structure of numbers.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is a valid place for the one structure that fstat writes.
    if unsafe { libc::fstat(fd, &mut stat) } != 0 {
        return Err(not_nvme(&std::io::Error::last_os_error().to_string()));
    }
    Ok((stat.st_mode & libc::S_IFMT, stat.st_rdev))
}

/// The device number of a descriptor that is open on a character device; 0 for anything else.
pub(crate) fn device_number(fd: RawFd) -> u64 {
    match stat_device(fd) {
        Ok((libc::S_IFCHR, device)) => device,
        _ => 0,
    }
}

/// The name of a device in sysfs: the last component of the path that `directory/MAJOR:MINOR` links to.
pub(super) fn device_name(directory: &Path, device: libc::dev_t) -> Option<String> {
    let link = directory.join(format!("{}:{}", libc::major(device), libc::minor(device)));
    let path = std::fs::canonicalize(link).ok()?;
    Some(path.file_name()?.to_str()?.to_owned())
}

/// Converts `ng0n1` to `nvme0n1`. The kernel gives both the same numbers, with and without multipath.
fn disk_of(name: &str) -> Option<String> {
    let numbers = name.strip_prefix("ng")?;
    is_numbers(numbers).then(|| format!("nvme{numbers}"))
}

/// Converts `nvme0n1` to `ng0n1`.
pub(super) fn generic_of(disk: &str) -> Option<String> {
    let numbers = disk.strip_prefix("nvme")?;
    is_numbers(numbers).then(|| format!("ng{numbers}"))
}

/// Whether the text is like `0n1`: two numbers with an `n` between them.
fn is_numbers(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('n')
        .is_some_and(|(controller, namespace)| digits(controller) && digits(namespace))
}

fn not_nvme(why: &str) -> ReadError {
    let why = why.to_owned();
    ReadError::NotANamespace { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory tree like that of sysfs, which is removed at the end of the test.
    struct Sysfs(PathBuf);

    impl Sysfs {
        fn new(test: &str, files: &[(&str, &str)]) -> Self {
            let root =
                std::env::temp_dir().join(format!("gristmill-{test}-{}", std::process::id()));
            let disk = root.join("block/nvme3n12");
            for (name, text) in files {
                let path = disk.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, format!("{text}\n")).unwrap();
            }
            Sysfs(root)
        }
    }

    impl Drop for Sysfs {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const FILES: [(&str, &str); 5] = [
        ("size", "262144"),
        ("queue/logical_block_size", "4096"),
        ("queue/max_hw_sectors_kb", "512"),
        ("queue/max_segments", "127"),
        ("queue/dma_alignment", "3"),
    ];

    #[test]
    fn geometry_comes_from_sysfs_in_the_units_of_the_device() {
        let sysfs = Sysfs::new("geometry", &FILES);
        let namespace = NvmeNamespace::from_sysfs(&sysfs.0, "ng3n12", 12).unwrap();
        assert_eq!((namespace.block_bytes, namespace.blocks), (4096, 32768));
        assert_eq!(
            (namespace.max_transfer_bytes, namespace.alignment),
            (512 << 10, 4)
        );
        // 127 pages, or 126 pages and parts of two if the memory does not begin at a page boundary.
        assert_eq!(namespace.piece_bytes(0), 127 * 4096);
        assert_eq!(namespace.piece_bytes(8), 126 * 4096);
        assert_eq!(namespace.disk().as_deref(), Some("nvme3n12"));
        assert_eq!(generic_of("nvme3n12").as_deref(), Some("ng3n12"));
    }

    #[test]
    fn a_namespace_that_would_write_past_its_memory_is_refused() {
        for (test, extra) in [
            ("metadata", ("metadata_bytes", "8")),
            ("profile", ("integrity/format", "T10-DIF-TYPE1-CRC")),
            ("blocks", ("queue/logical_block_size", "0")),
            ("empty", ("size", "0")),
            ("small", ("queue/max_hw_sectors_kb", "2")),
            ("words", ("queue/max_segments", "many")),
        ] {
            let sysfs = Sysfs::new(test, &[&FILES[..], &[extra]].concat());
            assert!(
                NvmeNamespace::from_sysfs(&sysfs.0, "ng3n12", 12).is_err(),
                "{test}"
            );
        }
    }

    #[test]
    fn only_names_of_namespaces_are_taken() {
        for name in [
            "nvme0n1", "ng0", "ng0n", "ngn1", "ng0n1p2", "ng0c1n1", "../ng0n1", "",
        ] {
            assert_eq!(disk_of(name), None, "{name}");
        }
        for disk in ["sda", "nvme0n1p1", "nvme0c0n1", "loop0", "dm-0"] {
            assert_eq!(generic_of(disk), None, "{disk}");
        }
    }

    #[test]
    fn a_descriptor_of_something_else_is_refused() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        for fd in [
            std::os::fd::AsRawFd::as_raw_fd(&null),
            std::os::fd::AsRawFd::as_raw_fd(&file),
            -1,
        ] {
            let error = NvmeNamespace::of(fd).unwrap_err().to_string();
            assert!(error.contains("/dev/ng0n1"), "{error}");
        }
    }
}
