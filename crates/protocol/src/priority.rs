//! Priorities: which ready ring a slot goes into, and the partitions of a ring image by priority.
//!
//! The device claims in order of priority, with ageing: if [`AGEING_CLAIMS`] claims went to higher priorities while a
//! lower one waited, the lower one goes next.
//!
//! The control words PRIORITY_OFFSETS divide a ring image into five runs of slots, one per priority: five starts, and
//! the end of the last run as a sentinel, never decreasing. All zero means that the ring is not divided.

use core::ops::Range;

numbers! {
    /// Numbers of the priorities, and when a lower one is served.
    pub NUMBERS {
        /// How many priorities there are.
        COUNT: usize = 5;
        /// Partition starts and the sentinel.
        OFFSETS: usize = COUNT + 1;
        /// Claims above a waiting lower priority after which that one goes next.
        AGEING_CLAIMS: u32 = 16;
        /// Number of [`Priority::Critical`].
        CRITICAL: u32 = 0;
        /// Number of [`Priority::High`].
        HIGH: u32 = 1;
        /// Number of [`Priority::Normal`], the default.
        NORMAL: u32 = 2;
        /// Number of [`Priority::Low`].
        LOW: u32 = 3;
        /// Number of [`Priority::Idle`].
        IDLE: u32 = 4;
    }
}

/// How urgent a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Before everything else.
    Critical,
    /// Before what is normal.
    High,
    /// The default.
    #[default]
    Normal,
    /// After what is normal.
    Low,
    /// When nothing else waits.
    Idle,
}

impl Priority {
    /// All priorities, most urgent first: each at its own index.
    pub const ALL: [Self; COUNT] = [
        Self::Critical,
        Self::High,
        Self::Normal,
        Self::Low,
        Self::Idle,
    ];

    /// The index of its ready ring.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Normal => 2,
            Self::Low => 3,
            Self::Idle => 4,
        }
    }

    /// Its number in a slot.
    #[must_use]
    pub const fn word(self) -> u32 {
        match self {
            Self::Critical => CRITICAL,
            Self::High => HIGH,
            Self::Normal => NORMAL,
            Self::Low => LOW,
            Self::Idle => IDLE,
        }
    }

    /// The priority with this number; `None` if there is no such priority.
    #[must_use]
    pub const fn from_word(word: u32) -> Option<Self> {
        match word {
            CRITICAL => Some(Self::Critical),
            HIGH => Some(Self::High),
            NORMAL => Some(Self::Normal),
            LOW => Some(Self::Low),
            IDLE => Some(Self::Idle),
            _ => None,
        }
    }

    /// Its name, for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Idle => "idle",
        }
    }
}

impl From<Priority> for u32 {
    fn from(priority: Priority) -> Self {
        priority.word()
    }
}

/// Offsets that divide `slots` slots as evenly as possible. The remainder goes to the more urgent priorities, one slot
/// each.
#[must_use]
pub fn even_offsets(slots: u32) -> [u32; OFFSETS] {
    let (share, mut left_over) = (slots / 5, slots % 5);
    let mut offsets = [0; OFFSETS];
    let mut start = 0;
    for offset in offsets.iter_mut().skip(1) {
        start += share + u32::from(left_over > 0);
        left_over = left_over.saturating_sub(1);
        *offset = start;
    }
    offsets
}

/// Whether offsets never decrease, as partitions must.
#[must_use]
pub fn are_offsets(offsets: &[u32; OFFSETS]) -> bool {
    offsets.is_sorted()
}

/// The slots of a priority. The range is empty if the offsets decrease there.
#[must_use]
pub fn partition(offsets: &[u32; OFFSETS], priority: Priority) -> Range<u32> {
    let start = offsets[priority.index()];
    start..offsets[priority.index() + 1].max(start)
}

/// The priority whose partition contains a slot; `None` for a slot outside of all partitions.
#[must_use]
pub fn of_slot(offsets: &[u32; OFFSETS], slot: u32) -> Option<Priority> {
    Priority::ALL
        .into_iter()
        .find(|priority| partition(offsets, *priority).contains(&slot))
}
