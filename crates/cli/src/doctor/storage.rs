//! The requirements of NVMe passthrough and peer memory, on this machine and on a file.

use super::finding::Finding;
use gristmill::uring::nvme::{DiskPlace, FileMap};
use gristmill::uring::reader::is_on_fuse;
use gristmill::uring::{
    open_without_waiting, why_copied, GpuDirectCapability, NvmeNamespace, PeerDevice, PeerMemory,
    ReadError, UringProbe,
};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The releases of the driver and of Linux, and the driver's setting, with which a GPU's memory can be published, as
/// NVIDIA documents them for GPUDirect Storage without nvidia-fs.
const NVIDIA_RELEASE: u32 = 565;
const LINUX_RELEASE: (u32, u32) = (6, 2);
const STATIC_BAR1: &str = "RMForceStaticBar1";

/// Findings about the machine, for the paths past the file system and into peer memory.
pub(super) fn machine() -> Vec<Finding> {
    let mut findings = vec![passthrough(), peer_read()];
    findings.extend(nvidia(Path::new("/")));
    findings
}

fn finding(
    kind: &'static str,
    name: &'static str,
    result: Result<String, (String, String)>,
) -> Finding {
    let (works, why, step) = match result {
        Ok(why) => (true, why, None),
        Err((why, step)) => (false, why, Some(step)),
    };
    Finding {
        kind,
        name,
        device: None,
        works,
        why,
        step,
    }
}

fn passthrough() -> Finding {
    let result = match GpuDirectCapability::probe() {
        GpuDirectCapability::Available { stats } => Ok(stats.trim_end().replace('\n', "; ")),
        GpuDirectCapability::Unavailable { .. } if NvmeNamespace::devices().is_empty() => Err((
            "there is no NVMe generic character device (/dev/ng*)".into(),
            "attach an NVMe disk, on Linux 5.13 or later".into(),
        )),
        GpuDirectCapability::Unavailable { reason } => Err((
            reason,
            "run as a user who may read /dev/ng* (root, or by a udev rule), with a namespace without metadata".into(),
        )),
        GpuDirectCapability::FeatureDisabled => Err(no_commands()),
    };
    finding("read path", "passthrough", result)
}

fn no_commands() -> (String, String) {
    (
        "io_uring is refused, or passes no commands to devices".into(),
        "Linux 5.19 or later, where io_uring is allowed".into(),
    )
}

fn peer_read() -> Finding {
    finding("read path", "peer", peer_memory())
}

/// The devices whose peer memory is available.
fn peer_memory() -> Result<String, (String, String)> {
    let devices = PeerDevice::list();
    if devices.is_empty() {
        return Err((
            "no PCI device publishes peer memory (p2pmem)".into(),
            "a device that does (an NVMe disk with a memory buffer, a GPU as described below), on Linux 6.2 or later with \
             CONFIG_PCI_P2PDMA"
                .into(),
        ));
    }
    let told: Vec<String> = devices
        .iter()
        .map(|device| {
            let (free, all) = (device.available_bytes, device.bytes);
            format!(
                "{}: {free} of {all} bytes of peer memory available",
                device.address
            )
        })
        .collect();
    let told = told.join("; ");
    // Find the first device whose memory this user may use, by allocating and freeing a page.
    let mut refusal = None;
    for device in &devices {
        match PeerMemory::allocate(&device.address, 4096) {
            Ok(_) => {
                refusal = None;
                break;
            }
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err((
            format!("{told}; {error}"),
            "run as root, while there is some available".into(),
        )),
        None => Ok(format!(
            "{told}; for --peer-memory, of ingest, scan, digest, stats and run; whether a disk reaches it is seen at its \
             first read, which is compared"
        )),
    }
}

/// The two features that publish a GPU's memory to disks: peer-to-peer DMA of the NVIDIA driver, and nvidia-fs. `root`
/// is the root of the file system.
fn nvidia(root: &Path) -> Vec<Finding> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let p2pdma = || {
        let Some(version) = read("proc/driver/nvidia/version") else {
            return Err((
                "the NVIDIA driver is not loaded".into(),
                format!("a GPU with NVIDIA's open kernel driver {NVIDIA_RELEASE} or later"),
            ));
        };
        let mut missing = Vec::new();
        let mut steps = Vec::new();
        let release = version.split_whitespace().find_map(release_of);
        if !version.contains("Open Kernel Module") {
            missing.push("the driver is not the open kernel module".to_owned());
        }
        if release.is_none_or(|(major, _)| major < NVIDIA_RELEASE) {
            let (major, minor) = release.unwrap_or_default();
            missing.push(format!("its release is {major}.{minor}"));
        }
        if !missing.is_empty() {
            steps.push(format!(
                "install NVIDIA's open kernel driver {NVIDIA_RELEASE} or later"
            ));
        }
        let kernel = read("proc/sys/kernel/osrelease").unwrap_or_default();
        if release_of(kernel.trim()).is_none_or(|linux| linux < LINUX_RELEASE) {
            missing.push(format!("Linux is {}", kernel.trim()));
            steps.push("boot Linux 6.2 or later, with CONFIG_PCI_P2PDMA".to_owned());
        }
        let settings = read("proc/driver/nvidia/params").unwrap_or_default();
        if !settings.contains(&format!("{STATIC_BAR1}=1")) {
            missing.push("static BAR1 was not asked for".to_owned());
            steps.push(format!(
                "load the driver with NVreg_RegistryDwords=\"{STATIC_BAR1}=1;ForceP2P=0;RmForceDisableIomapWC=1;\""
            ));
        }
        if missing.is_empty() {
            Ok(format!(
                "the open kernel module {}, with static BAR1; the read path peer shows whether it publishes memory",
                release.map_or_else(String::new, |(major, minor)| format!("{major}.{minor}"))
            ))
        } else {
            Err((missing.join("; "), steps.join("; ")))
        }
    };
    let fs = match read("proc/driver/nvidia-fs/stats") {
        Some(stats) => Ok(format!(
            "loaded: {}; Gristmill itself reads by p2pdma",
            stats.lines().next().unwrap_or_default()
        )),
        None => Err((
            "the module nvidia_fs is not loaded".into(),
            "nothing that Gristmill needs: it reads by p2pdma. For other programs: install nvidia-fs, modprobe nvidia_fs"
                .into(),
        )),
    };
    vec![
        finding("feature", "NVIDIA p2pdma", p2pdma()),
        finding("feature", "nvidia-fs", fs),
    ]
}

/// The first two numbers of a release such as `565.57.01` or `6.18.44-cloud`.
fn release_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if text.contains('.') => Some((major, minor)),
        _ => None,
    }
}

/// Which paths can read a file, and why the others cannot.
///
/// # Errors
/// A message, if the file cannot be opened or is a directory.
pub(super) fn file(path: &Path, probe: &UringProbe) -> Result<Vec<Finding>, String> {
    let words = |error: std::io::Error| error.to_string();
    let file = open_without_waiting(path, 0).map_err(words)?;
    let kind = file.metadata().map_err(words)?.file_type();
    if kind.is_dir() {
        return Err("it is a directory, which has no bytes to read; name the files in it".into());
    }
    let regular = kind.is_file();
    let ring = if !probe.is_available() {
        let why = "io_uring is refused on this machine";
        Err((why.into(), "see `gristmill doctor` without files".into()))
    } else if is_on_fuse(&file) {
        Err((
            "it is on a FUSE file system, where io_uring may read bytes twice".into(),
            "nothing; scan, digest, stats and run read it by the path positioned".into(),
        ))
    } else if regular {
        Ok("a regular file".into())
    } else {
        Ok("not a regular file: read as a stream, by all commands except ingest".into())
    };
    // This path names the file that was examined, even if `path` now names another.
    let again = format!("/proc/self/fd/{}", file.as_raw_fd());
    let direct = || open_without_waiting(Path::new(&again), libc::O_DIRECT).map(drop);
    Ok(vec![
        finding("read path", "registered", ring),
        finding(
            "read path",
            "positioned",
            Ok("pread works everywhere".into()),
        ),
        finding(
            "read path",
            "passthrough",
            if kind.is_char_device() {
                of_device(&file)
            } else if kind.is_block_device() {
                Err((
                    "it is a block device, which takes no commands".into(),
                    "of an NVMe disk, name the character device: /dev/ng0n1 for /dev/nvme0n1"
                        .into(),
                ))
            } else if regular {
                by_commands(&file)
            } else {
                Err(no_file())
            },
        ),
        finding(
            "read path",
            "peer",
            if regular {
                into_peer_memory(&file, direct)
            } else {
                Err(no_file())
            },
        ),
    ])
}

fn no_file() -> (String, String) {
    ("it is not a regular file".into(), "name one".into())
}

/// Whether a character device is a namespace that NVMe commands can read.
fn of_device(file: &File) -> Result<String, (String, String)> {
    supported()?;
    match NvmeNamespace::of(file.as_raw_fd()) {
        Ok(namespace) => Ok(format!(
            "namespace {}, {} blocks of {} bytes: read by ingest --device-range",
            namespace.id, namespace.blocks, namespace.block_bytes
        )),
        Err(error) => Err((
            error.to_string(),
            "name a file, or a device /dev/ng*".into(),
        )),
    }
}

fn supported() -> Result<(), (String, String)> {
    match GpuDirectCapability::probe() {
        GpuDirectCapability::FeatureDisabled => Err(no_commands()),
        _ => Ok(()),
    }
}

/// Whether a file's bytes can be read by commands to its disk; if not, all the reasons.
fn by_commands(file: &File) -> Result<String, (String, String)> {
    let (mut missing, mut steps) = (Vec::new(), Vec::new());
    let mut refuse = |why: String, step: &str| {
        missing.push(why);
        steps.push(step.to_owned());
    };
    if let Err((why, step)) = supported() {
        refuse(why, &step);
    }
    let mut found = None;
    match DiskPlace::of(file) {
        Err(error) => refuse(reason(&error), ON_NVME),
        Ok(place) => match namespace(&place.generic) {
            Ok(namespace) => found = Some((place, namespace)),
            Err(why) => refuse(
                why,
                "run as a user who may read that device, with a namespace without metadata",
            ),
        },
    }
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let map = FileMap::read(file, 0, size).and_then(|map| {
        if let Some((place, namespace)) = &found {
            map.lba_ranges(place.start, namespace.block_bytes)?;
        }
        Ok(map)
    });
    match (map, found) {
        (Ok(map), Some((place, namespace))) if missing.is_empty() => Ok(format!(
            "{} extents on /dev/{} (namespace {}, blocks of {} bytes), whose file system begins at byte {}",
            map.extents().len(),
            place.generic,
            namespace.id,
            namespace.block_bytes,
            place.start
        )),
        (Err(error), _) => {
            missing.push(reason(&error));
            steps.push("keep a copy without holes (cp --sparse=never) on ext4 or XFS".into());
            Err((missing.join("; "), steps.join("; ")))
        }
        _ => Err((missing.join("; "), steps.join("; "))),
    }
}

/// Why a file cannot be read past its file system, without the words that the surrounding rows repeat.
fn reason(error: &ReadError) -> String {
    match error {
        ReadError::Source { why, .. } => why.clone(),
        other => other.to_string(),
    }
}

/// The step that would let a file be read past its file system.
const ON_NVME: &str = "keep the file on an NVMe disk, or a partition of one";

/// The step that would let the disk itself write a file's bytes to their place.
const UNCOPIED: &str = "keep a copy on ext4 or XFS, too large to be inline, not encrypted, and its data not journalled";

fn namespace(generic: &str) -> Result<NvmeNamespace, String> {
    let path = format!("/dev/{generic}");
    let device = open_without_waiting(Path::new(&path), 0)
        .map_err(|error| format!("{path} cannot be opened: {error}"))?;
    NvmeNamespace::of(device.as_raw_fd()).map_err(|error| format!("{path}: {error}"))
}

/// Whether a file's bytes can go from its disk into a device's memory.
fn into_peer_memory(
    file: &File,
    direct: impl FnOnce() -> std::io::Result<()>,
) -> Result<String, (String, String)> {
    let (mut missing, mut steps) = (Vec::new(), Vec::new());
    let mut refuse = |why: String, step: String| {
        missing.push(why);
        steps.push(step);
    };
    match DiskPlace::of(file) {
        Err(error) => refuse(reason(&error), ON_NVME.into()),
        Ok(_) => {
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            if let Some(why) = why_copied(file, 0, size) {
                refuse(why, UNCOPIED.into());
            }
        }
    }
    if let Err(error) = direct() {
        let why = format!("its file system refuses O_DIRECT: {error}");
        refuse(
            why,
            "keep it on one that does not, such as ext4 or XFS".into(),
        );
    }
    let memory = peer_memory();
    if let Err((why, step)) = &memory {
        refuse(why.clone(), step.clone());
    }
    match memory {
        Ok(memory) if missing.is_empty() => Ok(memory),
        _ => Err((missing.join("; "), steps.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The finding about the driver's peer-to-peer DMA on a machine with these files.
    fn p2pdma(files: &[(&str, &str)]) -> (bool, String, String) {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let found = nvidia(root.path()).remove(0);
        (found.works, found.why, found.step.unwrap_or_default())
    }

    const LINUX: (&str, &str) = ("proc/sys/kernel/osrelease", "6.8.0-45-generic\n");
    const OPEN: (&str, &str) = (
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n",
    );
    const STATIC: (&str, &str) = (
        "proc/driver/nvidia/params",
        "EnableMSI: 1\nRegistryDwords: \"RMForceStaticBar1=1;ForceP2P=0;\"\n",
    );

    #[test]
    fn each_missing_part_of_the_nvidia_driver_is_told_with_its_step() {
        let (works, why, _) = p2pdma(&[LINUX]);
        assert!(!works && why.contains("not loaded"), "{why}");
        let (works, why, step) = p2pdma(&[LINUX, OPEN, STATIC]);
        assert!(works && step.is_empty() && why.contains("570.86"), "{why}");
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun\n";
        for (files, why, step) in [
            (
                [LINUX, (OPEN.0, closed), STATIC],
                "not the open kernel module; its release is 535.183",
                "565 or later",
            ),
            (
                [("proc/sys/kernel/osrelease", "5.15.0\n"), OPEN, STATIC],
                "Linux is 5.15.0",
                "Linux 6.2",
            ),
            (
                [LINUX, OPEN, (STATIC.0, "EnableMSI: 1\n")],
                "static BAR1",
                "RMForceStaticBar1=1",
            ),
        ] {
            let told = p2pdma(&files);
            assert!(
                !told.0 && told.1.contains(why) && told.2.contains(step),
                "{told:?}"
            );
        }
    }

    #[test]
    fn releases_are_their_first_two_numbers() {
        assert_eq!(release_of("6.18.44-fc"), Some((6, 18)));
        assert_eq!(release_of("6.2-rc1"), Some((6, 2)));
        assert_eq!(release_of("x86_64"), None);
        assert_eq!(release_of("565"), None);
    }
}
