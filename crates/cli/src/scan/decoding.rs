//! How the bytes of a file become the bytes that are searched.

use gristmill::decode::{Decode, Encoding, TextDecoding};
use gristmill::jobs::scan::ScanJobBuilder;

/// Flags that say how files are decoded.
#[derive(Debug, Clone, clap::Args)]
pub struct DecodingArgs {
    /// The encoding of the files: a label of the Encoding Standard, such as utf-16le, latin1 or shift_jis; `auto`, or
    /// `none`.
    ///
    /// `auto`, the default, decodes files that begin with the byte order mark of UTF-16. With a label, such files are
    /// still decoded by their mark. `none` searches the bytes of all files, and a byte order mark is then part of the
    /// first line. Bytes that are invalid in an encoding are searched as U+FFFD. Line numbers, columns and offsets are
    /// those of the decoded text, which is UTF-8. With --all nothing is decoded unless this flag is given; offsets are
    /// then those of the decoded text, too.
    #[arg(
        short = 'E',
        long,
        value_name = "LABEL",
        value_parser = Label::parse,
        overrides_with = "no_encoding"
    )]
    encoding: Option<Label>,

    /// Decode files by their byte order marks. This is the default.
    #[arg(long, hide = true, overrides_with = "encoding")]
    no_encoding: bool,

    /// Search the contents of compressed files: gzip (.gz, .tgz), bzip2 (.bz2, .tbz2), xz (.xz, .txz, .lzma), LZ4
    /// (.lz4), Zstandard (.zst, .zstd) and Brotli (.br), by their extensions.
    ///
    /// Line numbers, columns and offsets, also with --all, are those of the decompressed bytes. Standard input is not
    /// decompressed, and archives are not unpacked: a .tgz is searched as the tar file that it contains. A damaged file
    /// is searched up to the damage, and reported; a file that needs a window of more than 128 MiB is reported, too.
    #[arg(short = 'z', long, overrides_with = "no_search_zip")]
    search_zip: bool,

    /// Search compressed files as they are. This is the default.
    #[arg(long, hide = true, overrides_with = "search_zip")]
    no_search_zip: bool,
}

/// The value of --encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Auto,
    None,
    Of(Encoding),
}

impl Label {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            label => Encoding::of(label).map(Self::Of).ok_or_else(|| {
                "no label of the Encoding Standard; give one such as utf-16le, latin1 or shift_jis, or auto, or none"
                    .into()
            }),
        }
    }
}

impl DecodingArgs {
    /// How files are decoded. `all` says that every occurrence is listed.
    pub fn decode(&self, all: bool) -> Decode {
        Decode {
            text: match self.encoding {
                Some(Label::None) => TextDecoding::Bytes,
                None if all => TextDecoding::Bytes,
                None | Some(Label::Auto) => TextDecoding::Marked,
                Some(Label::Of(encoding)) => TextDecoding::Named(encoding),
            },
            compressed: self.search_zip,
        }
    }

    /// Whether files are decompressed.
    pub fn decompresses(&self) -> bool {
        self.search_zip
    }

    /// Whether ripgrep maps files, if nothing else is against it.
    pub fn maps(&self) -> bool {
        !matches!(self.encoding, Some(Label::Of(_)))
    }

    /// Sets what the flags say.
    pub fn apply(&self, job: ScanJobBuilder) -> ScanJobBuilder {
        job.keep_mark(self.encoding == Some(Label::None))
    }
}
