//! The status that a device returns for a command, in words.

use std::fmt;

/// The status of an NVMe command, as Linux reports it: bits 0 to 7 are the code, bits 8 to 10 its type, bits 11 and 12
/// say how long to wait before a retry, bit 13 says that the error log has more information, and bit 14 that a retry is
/// useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NvmeStatus(pub u16);

/// Status codes that a read can have, by type and code.
const NAMES: &[(u8, u8, &str)] = &[
    (0, 0x00, "success"),
    (0, 0x01, "invalid command opcode"),
    (0, 0x02, "invalid field in command"),
    (0, 0x03, "command id conflict"),
    (0, 0x04, "data transfer error"),
    (0, 0x05, "aborted: power loss"),
    (0, 0x06, "internal error of the device"),
    (0, 0x07, "aborted as asked"),
    (0, 0x08, "aborted: submission queue deleted"),
    (0, 0x0B, "invalid namespace or format"),
    (0, 0x0C, "command sequence error"),
    (0, 0x13, "invalid offset of a physical region page"),
    (0, 0x1C, "sanitize failed"),
    (0, 0x1D, "sanitize in progress"),
    (0, 0x20, "namespace is write protected"),
    (0, 0x21, "command interrupted"),
    (0, 0x22, "transient transport error"),
    (0, 0x80, "LBA out of range"),
    (0, 0x81, "capacity exceeded"),
    (0, 0x82, "namespace not ready"),
    (0, 0x83, "reservation conflict"),
    (0, 0x84, "format in progress"),
    (1, 0x80, "conflicting attributes"),
    (1, 0x81, "invalid protection information"),
    (2, 0x81, "unrecovered read error"),
    (2, 0x82, "end-to-end guard check error"),
    (2, 0x83, "end-to-end application tag check error"),
    (2, 0x84, "end-to-end reference tag check error"),
    (2, 0x85, "compare failure"),
    (2, 0x86, "access denied"),
    (2, 0x87, "deallocated or unwritten logical block"),
    (3, 0x00, "internal path error"),
    (3, 0x01, "asymmetric access persistent loss"),
    (3, 0x02, "asymmetric access inaccessible"),
    (3, 0x03, "asymmetric access transition"),
    (3, 0x60, "controller path error"),
    (3, 0x70, "host path error"),
    (3, 0x71, "aborted by the host"),
];

impl NvmeStatus {
    /// The status code.
    pub fn code(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// The status code's type: 0 generic, 1 of the command, 2 media, 3 path, 7 of the vendor.
    pub fn code_type(self) -> u8 {
        self.0.to_le_bytes()[1] & 7
    }

    /// Whether the device says that a retry is useless.
    pub fn do_not_retry(self) -> bool {
        self.0 & 0x4000 != 0
    }

    /// The name of the code; `None` if it is not known.
    pub fn name(self) -> Option<&'static str> {
        let entry = NAMES
            .iter()
            .find(|(of_type, code, _)| (*of_type, *code) == (self.code_type(), self.code()));
        entry.map(|(_, _, name)| *name)
    }
}

impl fmt::Display for NvmeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.code_type() {
            0 => "generic",
            1 => "command specific",
            2 => "media and data integrity",
            3 => "path",
            7 => "vendor specific",
            _ => "reserved",
        };
        match self.name() {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "{kind} status {:#04x}", self.code())?,
        }
        write!(f, " (NVMe status {:#06x}", self.0)?;
        if self.do_not_retry() {
            write!(f, ", do not retry")?;
        }
        write!(f, ")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_in_words() {
        for (status, words) in [
            (16512, "LBA out of range (NVMe status 0x4080, do not retry)"),
            (641, "unrecovered read error (NVMe status 0x0281)"),
            (0x0371, "aborted by the host (NVMe status 0x0371)"),
            (
                0x4782,
                "vendor specific status 0x82 (NVMe status 0x4782, do not retry)",
            ),
            (0x0433, "reserved status 0x33 (NVMe status 0x0433)"),
        ] {
            assert_eq!(NvmeStatus(status).to_string(), words);
        }
    }

    #[test]
    fn hints_of_when_to_retry_do_not_change_the_name() {
        let plain = NvmeStatus(0x0281);
        for hints in [0x0800, 0x1800, 0x2000, 0x4000, 0x7800] {
            assert_eq!(NvmeStatus(0x0281 | hints).name(), plain.name());
        }
    }
}
