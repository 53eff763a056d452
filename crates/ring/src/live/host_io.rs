//! What the host keeps beside the IO queue.

/// What the host keeps beside the queue.
#[derive(Default)]
pub(super) struct HostIo {
    pub(super) taken: bool,
    pub(super) ended: u32,
    /// For each slot of the queue: the tenant of its request, if the slot that asked has already completed.
    pub(super) tenants: Vec<Option<u32>>,
}

impl HostIo {
    pub(super) fn new(slots: u32, ended: u32) -> Self {
        Self {
            ended,
            tenants: vec![None; slots as usize],
            ..Self::default()
        }
    }
}
