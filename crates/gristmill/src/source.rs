//! Sources: where the files come from.
//!
//! Readers that are out of work pull a few entries at a time from the source. It never reads a file's content, and asks
//! the file system for nothing beyond the listing of directories. [`Tree`] walks directories as ripgrep does,
//! [`FileList`] reads names from a list, [`Stdin`] is standard input as one file. Trees and lists also take URLs of
//! objects, if they are given the stores that read them. [`plan`] cuts the files of a source into [shares](Share), each of
//! which is a source of its own, for processes and machines that divide a run.

mod below;
mod entry;
mod facts;
mod file_id;
mod list;
mod remote;
mod share;
mod stdin;
mod tree;

pub(crate) use below::ReplacedByLink;
pub use below::Root;
pub use entry::{Ended, Entry, FilePart, Item, Origin, Source, STDIN_NAME};
pub(crate) use facts::{read_at, through_cache, Ending};
pub use facts::{FileFacts, Found};
pub use file_id::FileId;
pub use gristmill_ingest::object::{is_url, path_of_url, shown_name, Names, Stores};
pub(crate) use list::{is_early, MAX_NAME_BYTES};
pub use list::{FileList, LiveList};
pub(crate) use remote::Named;
pub use share::{plan, Cutting, Share, SharePart, ShareSource, MAX_PARTS};
pub use stdin::{stdin, Stdin};
pub use tree::{FileTypes, GlobError, SortKey, Tree, TypeChange, TypeError};
