//! The guest's disks, found by serial and namespace, since the numbers in device names differ from boot to boot.
//!
//! | serial | what it is |
//! |---|---|
//! | `peer` | no disk, only 64 MiB of memory on the PCI bus (its controller memory buffer) |
//! | `data` | namespaces 1 (blocks of 512 bytes) and 2 (4096 bytes): 32 MiB, word `i` is [`word`]`(0, i)`; namespace 3 has blocks with metadata |
//! | `files` | namespace 1: a partition with an ext4 file system, which has [`FILES`]; namespace 2: an XFS file system, which has [`XFS_FILE`] |

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Bytes of each namespace of the disk `data`.
pub const DATA_BYTES: u64 = 32 << 20;

/// Names and bytes of the files on the disk `files`; in the file at `index`, word `i` is [`word`]`(index + 1, i)`,
/// except where it reads as zeros: bytes 65,536 to 131,071 of `hole`, and those from 131,072 on of `unwritten`.
pub const FILES: [(&str, u64); 5] = [
    ("one-extent", (1 << 20) + 1234),
    ("many-extents", (1 << 20) + 7),
    ("hole", 256 << 10),
    ("unwritten", 256 << 10),
    ("inline", 56),
];

/// The first byte of `one-extent` that cannot be read in a guest with a media error. The 511 bytes behind it cannot be
/// read either.
pub const BAD_BYTE: u64 = 200 * 4096;

/// Name and bytes of the file of the XFS file system; word `i` is [`word`]`(6, i)`.
pub const XFS_FILE: (&str, u64) = ("on-xfs", (3 << 20) + 99);

/// The 64-bit little-endian word at offset `8 * index` of the disk `data` (tag 0) or of a file (its number, from 1 on).
pub fn word(tag: u64, index: u64) -> u64 {
    tag << 56 | index
}

/// An NVMe controller of the guest.
pub struct Disk {
    /// Such as `nvme1`.
    name: String,
    device: PathBuf,
}

/// A namespace of a disk.
pub struct Namespace {
    /// Its number on the disk.
    pub id: u32,
    /// Its generic character device, open.
    pub generic: File,
    /// Path of its generic character device, such as `/dev/ng1n2`.
    pub generic_path: PathBuf,
    /// Path of its block device, such as `/dev/nvme1n2`.
    pub block_path: PathBuf,
    /// Its queue's folder in sysfs.
    pub queue: PathBuf,
    /// Bytes in a block.
    pub block_bytes: u64,
    /// The most bytes that one command may move.
    pub max_transfer_bytes: u64,
}

impl Disk {
    /// The disk with this serial.
    ///
    /// # Panics
    /// Where there is none: the guest has all of them.
    pub fn find(serial: &str) -> Self {
        let controllers = fs::read_dir("/sys/class/nvme").expect("the guest's kernel has NVMe");
        for controller in controllers.flatten() {
            let device = controller.path();
            if text(&device.join("serial")) == serial {
                let name = controller.file_name().to_string_lossy().into_owned();
                return Disk { name, device };
            }
        }
        panic!("no NVMe disk has the serial {serial}");
    }

    /// The PCI device's folder in sysfs.
    pub fn pci(&self) -> PathBuf {
        self.device.join("device")
    }

    /// One of its namespaces, by its number. The numbers in device names are different: they follow the order in which
    /// namespaces were found.
    ///
    /// # Panics
    /// Where it has none of this number.
    pub fn namespace(&self, id: u32) -> Namespace {
        let blocks = fs::read_dir("/sys/block").expect("the guest has sysfs");
        let prefix = format!("{}n", self.name);
        for block in blocks.flatten() {
            let name = block.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && number(&block.path().join("nsid")) == u64::from(id) {
                let generic_path = PathBuf::from(format!("/dev/{}", name.replace("nvme", "ng")));
                let queue = block.path().join("queue");
                return Namespace {
                    id,
                    generic: File::open(&generic_path).expect("a namespace has a generic device"),
                    generic_path,
                    block_path: Path::new("/dev").join(name),
                    block_bytes: number(&queue.join("logical_block_size")),
                    max_transfer_bytes: number(&queue.join("max_hw_sectors_kb")) << 10,
                    queue,
                };
            }
        }
        panic!("{} has no namespace {id}", self.name);
    }
}

/// Path of a file of the ext4 file system on the disk `files`, which is mounted by the first call.
///
/// # Panics
/// Where it cannot be mounted.
pub fn file(name: &str) -> PathBuf {
    static MOUNTED: OnceLock<PathBuf> = OnceLock::new();
    let folder = MOUNTED.get_or_init(|| {
        let disk = Disk::find("files").namespace(1).block_path;
        mount("ext4", &format!("{}p1", disk.display()), "/tmp/files")
    });
    folder.join(name)
}

/// A file of sysfs whose content is replaced until this is dropped, so that a disk gets commands that its geometry
/// rules out.
pub struct Pretence(PathBuf);

impl Pretence {
    /// Makes `attribute` say `text`.
    ///
    /// # Panics
    /// Where there is no such file, or nothing can be mounted over it.
    pub fn new(attribute: &Path, text: &str) -> Self {
        let attribute = fs::canonicalize(attribute).expect("sysfs has the attribute");
        let lie = Path::new("/tmp").join(attribute.to_string_lossy().replace('/', "-"));
        fs::write(&lie, text).expect("/tmp is a file system in memory");
        let mount = Command::new("mount")
            .args(["-o", "bind"])
            .args([&lie, &attribute])
            .status();
        assert!(mount.is_ok_and(|status| status.success()), "mount {lie:?}");
        Pretence(attribute)
    }
}

impl Drop for Pretence {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Path of a file of the XFS file system on the disk `files`, which is mounted by the first call. If the guest's kernel
/// has no XFS, says so and returns `None`.
///
/// # Panics
/// Where it cannot be mounted.
pub fn xfs_file(name: &str) -> Option<PathBuf> {
    static MOUNTED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = MOUNTED.get_or_init(|| {
        let known = text(Path::new("/proc/filesystems"));
        if !known.lines().any(|line| line.trim() == "xfs") {
            gristmill_testing::skipped(
                "the guest's kernel has no XFS: its module could not be fetched",
            );
            return None;
        }
        let disk = Disk::find("files").namespace(2).block_path;
        Some(mount("xfs", &disk.display().to_string(), "/tmp/xfs"))
    });
    folder.as_ref().map(|folder| folder.join(name))
}

fn mount(kind: &str, device: &str, folder: &str) -> PathBuf {
    fs::create_dir_all(folder).expect("/tmp is a file system in memory");
    let status = Command::new("mount")
        .args(["-t", kind, device, folder])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "mount {device}"
    );
    folder.into()
}

fn text(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

fn number(path: &Path) -> u64 {
    let number = text(path).parse();
    number.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
