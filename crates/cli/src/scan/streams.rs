//! Standard input and output as ripgrep treats them.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

/// The size of the buffer, in bytes, in which ripgrep keeps rows before it writes them. Rows of a file that fit into it
/// count as written when the file is done, whether or not somebody reads them.
pub const KEPT_BACK: u64 = 8 << 10;

/// Whether a search without paths searches standard input.
pub fn stdin_is_readable() -> bool {
    let stdin = io::stdin();
    let kind = stdin
        .as_fd()
        .try_clone_to_owned()
        .and_then(|stdin| File::from(stdin).metadata())
        .map(|metadata| metadata.file_type());
    !stdin.is_terminal()
        && kind.is_ok_and(|kind| kind.is_file() || kind.is_fifo() || kind.is_socket())
}
