//! Memory that reads land in: borrowed memory ([`mapped`]), or memory of another device on the bus ([`peer`]).

pub(crate) mod mapped;
pub(crate) mod peer;
