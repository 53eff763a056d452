//! Tenants: which of them may run, how many slots of each may run at a time, and the opcodes that belong to each.

use gristmill_protocol::{control, opcode, PipelineError};
use gristmill_ring::SharedWords;
use std::sync::atomic::Ordering;

/// Opens, closes and limits tenants through the control words of a running kernel.
#[derive(Debug, Clone)]
pub struct TenantRegistry {
    control: SharedWords,
}

/// One tenant.
#[derive(Debug, Clone)]
pub struct TenantHandle {
    control: SharedWords,
    id: u32,
}

impl TenantRegistry {
    /// Makes the registry for a kernel's control words.
    pub fn new(control: SharedWords) -> Self {
        Self { control }
    }

    /// The tenant with this id.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for an id that has no mask word (29 and above).
    pub fn tenant(&self, id: u32) -> Result<TenantHandle, PipelineError> {
        if id as usize >= control::TENANT_MASK_WORDS {
            return Err(PipelineError::InvalidArgument {
                what: "a tenant id that has no mask word",
                fix: "use an id of 0 to 28",
            });
        }
        Ok(TenantHandle {
            control: self.control.clone(),
            id,
        })
    }
}

impl TenantHandle {
    /// The id, as slots carry it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The opcodes that belong to this tenant alone.
    pub fn opcodes(&self) -> std::ops::Range<u32> {
        let first = opcode::TENANT_BASE + (self.id << 20);
        first..first + (1 << 20)
    }

    /// Lets the tenant run if `mask` is not zero. A mask of zero stops the tenant: its slots then fault.
    pub fn set_mask(&self, mask: u32) {
        self.control[control::TENANT_MASKS + self.id as usize].store(mask, Ordering::Relaxed);
    }

    /// The mask.
    pub fn mask(&self) -> u32 {
        self.control[control::TENANT_MASKS + self.id as usize].load(Ordering::Relaxed)
    }

    /// Sets how many slots of the tenant may run at a time. If it is 0, the tenant's slots fault.
    pub fn set_quota(&self, slots: u32) {
        self.control[control::TENANT_QUOTAS + self.id as usize].store(slots, Ordering::Relaxed);
    }

    /// The quota.
    pub fn quota(&self) -> u32 {
        self.control[control::TENANT_QUOTAS + self.id as usize].load(Ordering::Relaxed)
    }
}
