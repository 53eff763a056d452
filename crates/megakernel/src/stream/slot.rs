//! What an opcode sees of its slot, and how it learns that it was cancelled.

use gristmill_protocol::fault;

/// The number of bytes that an opcode may read before it checks again whether it was cancelled.
pub(super) const LOOK_BYTES: usize = 1 << 20;

/// Tells an opcode whether its slot was cancelled. Opcodes that take long check it as they run.
#[derive(Clone, Copy, Default)]
pub struct Cancel<'a>(Option<&'a dyn Fn() -> bool>);

impl<'a> Cancel<'a> {
    /// Makes the flag of a slot that is cancelled once `asked` returns true.
    pub fn new(asked: &'a dyn Fn() -> bool) -> Self {
        Self(Some(asked))
    }

    /// Whether the slot was cancelled. If so, the opcode ends at once, and its results are void, since the slot
    /// completes as a fault. Once this returns true, it stays true.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_some_and(|asked| asked())
    }
}

impl std::fmt::Debug for Cancel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cancel({})", self.is_cancelled())
    }
}

/// The place and surroundings of a slot's own bytes, and the mode of the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamSlot<'a> {
    /// Mode and flags (`ARG_MODE`).
    pub mode: u32,
    /// Position of the first own byte in its file.
    pub offset: u64,
    /// Where to continue after an overflow; 0 the first time.
    pub resume: u32,
    /// The own bytes together with the bytes of the same file around them, as far as the slot allows the opcode to
    /// look.
    pub around: &'a [u8],
    /// The offset in `around` at which the own bytes begin.
    pub before: usize,
    /// Whether the slot was cancelled. An opcode that takes long checks it every few milliseconds.
    pub cancel: Cancel<'a>,
}

impl<'a> StreamSlot<'a> {
    /// The own bytes in parts. The iterator ends early once the slot is cancelled.
    pub(super) fn parts<'b>(
        &self,
        bytes: &'b [u8],
    ) -> impl Iterator<Item = &'b [u8]> + use<'a, 'b> {
        let cancel = self.cancel;
        bytes
            .chunks(LOOK_BYTES)
            .take_while(move |_| !cancel.is_cancelled())
    }
}

/// Converts a position within a chunk to a result word. Chunks are at most 1 GiB, so it fits; a position that does not
/// is a fault.
pub(crate) fn word(position: usize) -> Result<u32, u32> {
    u32::try_from(position).map_err(|_| fault::INDEX_OUT_OF_RANGE)
}
