//! The persistent kernel that consumes a Gristmill ring, and its back ends.
