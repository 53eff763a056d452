//! Objects of stores as sources of Gristmill: S3, Google Cloud Storage, Azure, and HTTP servers.
//!
//! [`ObjectStores`] implements [`Stores`](gristmill_ingest::object::Stores), the seam that a mill's sources and fetches
//! are written against, with the crate `object_store`: its credentials, its variables of the environment, its retries and
//! its proxies. `docs/objects.md` in the repository says what users see.
//!
//! - `location`: what a URL names, and how it is shown. `stores`: a client for each bucket, set up from the environment.
//! - `service`: what is between `object_store` and the network: it counts requests, and sees how they end.
//! - `fetch`: a range of an object, of one version. `whole`: objects of servers that know no ranges.
//! - `listing`: the objects below a prefix, as they are listed.
//! - `describe`: errors in one line, without secrets.
//!
//! All requests are made by the threads of one runtime, which begins with the first URL. No message holds a key, a token, a
//! signed query or a password: messages are made of words of this crate, of the short code by which a store names an
//! error, and of what the system says of a connection. Names have no user, no password and no query.

#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod describe;
mod fetch;
mod listing;
mod location;
mod service;
mod stores;
mod whole;

pub use stores::ObjectStores;
