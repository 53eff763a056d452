//! Memory that reads land in: lent for a time ([`mapped`]), or of another device on the bus ([`peer`]).

pub(crate) mod mapped;
pub(crate) mod peer;
