// Names that are private to the crate.

use gristmill_ring::SlotIndex;

pub fn an_index_of_no_token() -> SlotIndex {
    SlotIndex(7) //~ E0423
}

pub fn a_region(_: &gristmill_ring::memory::Region) {} //~ E0603
pub fn a_mapping(_: &gristmill_ring::memory::Mapping) {} //~ E0603
