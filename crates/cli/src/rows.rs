//! Where rows go, and in which format: --output and --format.
//!
//! A file is written under another name in the same directory, and takes its own name once it is whole and on the disk.
//! So a run that fails, or is killed, leaves under that name what was there before. After a signal the rows so far are
//! kept under the other name, which is told.

use super::destination::Destination;
use super::end::{self, End};
use super::outputs::{self, NewFile, Replaces};
use super::signals::Output;
use super::{messages, stdout};
use clap::ValueEnum;
use gristmill::manifest::{Head, ManifestFormat, ManifestWriter};
use gristmill::rows::{Schema, TableWriter};
use std::fmt::Debug;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Flags for where rows go.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RowsArgs {
    /// Write the rows to this file; `-` is standard output.
    ///
    /// The file's extension determines the format unless --format does: .txt, .jsonl or .ndjson, .csv, .arrow or
    /// .feather, .parquet. The file appears under its name only once it is complete: if the run fails, an earlier file
    /// stays. After Ctrl-C the rows so far are kept in another file beside it, whose name is reported. A Parquet or
    /// Arrow file replaces only a file of its kind.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The format of the rows.
    ///
    /// text and jsonl are the output without this flag and with --json. csv, arrow (an IPC file, uncompressed) and
    /// parquet (compressed with zstd) are tables with a row for each line, match, finding or file; docs/rows.md lists
    /// their columns.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Jsonl,
    Csv,
    Arrow,
    Parquet,
}

impl Format {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// Whether rows have a schema.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::Arrow | Self::Parquet)
    }

    /// The format that a file's name means.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match &*ending {
            "txt" => Self::Text,
            "jsonl" | "ndjson" => Self::Jsonl,
            "csv" => Self::Csv,
            "arrow" | "feather" => Self::Arrow,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }

    /// Which files one of this format may replace.
    fn replaces(self) -> Replaces {
        match self {
            Self::Arrow => Replaces::Own {
                magic: b"ARROW1",
                name: "an Arrow file",
            },
            Self::Parquet => Replaces::Own {
                magic: b"PAR1",
                name: "a Parquet file",
            },
            Self::Text | Self::Jsonl | Self::Csv => Replaces::Any,
        }
    }
}

impl RowsArgs {
    /// A file, and its format if that is not to be told by its name.
    pub fn new(output: PathBuf, format: Option<Format>) -> Self {
        Self {
            output: Some(output),
            format,
        }
    }

    /// The format of --format.
    pub fn asked_format(&self) -> Option<Format> {
        self.format
    }

    /// Whether one of the flags was given.
    pub fn are_given(&self) -> bool {
        self.output.is_some() || self.format.is_some()
    }

    /// The file that rows go to; none if they go to standard output.
    pub fn file(&self) -> Option<&Path> {
        self.output
            .as_deref()
            .filter(|path| *path != Path::new("-"))
    }

    /// Whether rows go to a terminal.
    pub fn to_terminal(&self) -> bool {
        self.file().is_none() && io::stdout().is_terminal()
    }

    /// The format. `asked` is a flag that asks for one by itself, with the format that it is.
    ///
    /// # Errors
    /// A message, if that is not known or the flags contradict each other.
    pub fn format(&self, asked: Option<(&str, Format)>) -> Result<Format, String> {
        self.format_of("--output", asked)
    }

    /// As [`Self::format`], where the flag of this name has given the file.
    fn format_of(&self, flag: &str, asked: Option<(&str, Format)>) -> Result<Format, String> {
        let named = match (self.format, self.file()) {
            (Some(format), _) => Some((format!("--format {}", format.name()), format)),
            (None, None) => None,
            (None, Some(path)) => match (Format::of(path), asked) {
                (Some(format), _) => Some((format!("{flag} {}", path.display()), format)),
                (None, Some(_)) => None,
                (None, None) => {
                    return Err(format!(
                        "{flag} {}: the name does not end in .txt, .jsonl, .csv, .arrow or .parquet; give --format",
                        path.display()
                    ))
                }
            },
        };
        match (named, asked) {
            (Some((name, format)), Some((asking, asked))) if format != asked => Err(format!(
                "{asking} means the format {}, and {name} means {}; leave one of them out",
                asked.name(),
                format.name()
            )),
            (Some((_, format)), _) | (None, Some((_, format))) => Ok(format),
            (None, None) => Ok(Format::Text),
        }
    }

    /// Opens the output. `schema` makes the schema of a table.
    ///
    /// # Errors
    /// A message, if it cannot or must not be written.
    pub fn open(
        &self,
        format: Format,
        schema: impl FnOnce() -> Result<Schema, String>,
    ) -> Result<Rows, String> {
        let schema = format.is_table().then(schema).transpose()?;
        self.open_with(format, |output| match schema {
            Some(schema) => table(format, &schema, output).map(Some),
            None => Ok(None),
        })
    }

    /// Opens the output of a manifest.
    ///
    /// # Errors
    /// A message, if the format has no place for one, or it cannot or must not be written.
    pub fn open_manifest(&self, head: &Head) -> Result<Rows, String> {
        let format = self.format_of("--manifest", None)?;
        let of = match format {
            Format::Text => {
                return Err("--manifest: the text format cannot hold a manifest; name a file that ends in .jsonl, .csv, .arrow or .parquet".into())
            }
            Format::Jsonl => ManifestFormat::Jsonl,
            Format::Csv => ManifestFormat::Csv,
            #[cfg(feature = "arrow")]
            Format::Arrow => ManifestFormat::Arrow,
            #[cfg(feature = "arrow")]
            Format::Parquet => ManifestFormat::Parquet,
            #[cfg(not(feature = "arrow"))]
            Format::Arrow | Format::Parquet => return Err(format!("--manifest: {NOT_BUILT}")),
        };
        self.open_with(format, |output| {
            let manifest = ManifestWriter::new(of, head, output)?;
            Ok(Some(Box::new(manifest) as Box<dyn Table>))
        })
    }

    /// Opens the output. `table` makes what writes rows that are no text.
    fn open_with(
        &self,
        format: Format,
        table: impl FnOnce(Output) -> io::Result<Option<Box<dyn Table>>>,
    ) -> Result<Rows, String> {
        if matches!(format, Format::Arrow | Format::Parquet) && self.to_terminal() {
            return Err(format!(
                "standard output is a terminal, and {} is not text; name a file, or redirect it",
                format.name()
            ));
        }
        let mut destination = Destination::default();
        let mut file = None;
        let output = match self.file() {
            None => stdout::open()?,
            Some(path) => {
                destination.name = path.display().to_string();
                let refused = |why| format!("{}: {why}; name another output", path.display());
                match outputs::create(path, format.replaces()).map_err(refused)? {
                    outputs::Created::Stream(stream) => Output::new(stream),
                    outputs::Created::New(new) => {
                        destination.is_file = true;
                        destination.written = new.files().to_vec();
                        let output = new.file().map_err(|error| refused(error.to_string()))?;
                        file = Some(new);
                        Output::new(output)
                    }
                }
            }
        };
        let table = output.try_clone().and_then(table);
        let table = table.map_err(|error| format!("{}: {error}", destination.name))?;
        Ok(Rows {
            table,
            output,
            file,
            destination,
            bytes: 0,
        })
    }
}

/// A writer of a table.
fn table(format: Format, schema: &Schema, output: Output) -> io::Result<Box<dyn Table>> {
    let table = match format {
        #[cfg(feature = "arrow")]
        Format::Arrow => TableWriter::arrow(schema, output)?,
        #[cfg(feature = "arrow")]
        Format::Parquet => TableWriter::parquet(schema, output)?,
        #[cfg(not(feature = "arrow"))]
        Format::Arrow | Format::Parquet => return Err(io::Error::other(NOT_BUILT)),
        _ => TableWriter::csv(schema, output),
    };
    Ok(Box::new(table))
}

/// Why there is no Arrow and no Parquet.
#[cfg(not(feature = "arrow"))]
const NOT_BUILT: &str =
    "this gristmill was built without the feature `arrow`; build it with that, or choose csv";

/// What writes rows that are no text.
trait Table: Write + Send + Debug {
    /// Writes what is left. `whole` says whether the run came to its end.
    fn finish(self: Box<Self>, whole: bool) -> io::Result<()>;
}

impl Table for TableWriter<Output> {
    fn finish(self: Box<Self>, _whole: bool) -> io::Result<()> {
        TableWriter::finish(*self)
    }
}

impl Table for ManifestWriter<Output> {
    fn finish(self: Box<Self>, whole: bool) -> io::Result<()> {
        ManifestWriter::finish(*self, whole)
    }
}

/// The output of a command's rows.
#[derive(Debug)]
pub struct Rows {
    table: Option<Box<dyn Table>>,
    output: Output,
    /// The file, if it takes its name only when it is whole.
    file: Option<NewFile>,
    destination: Destination,
    /// Bytes of rows that were taken.
    pub bytes: u64,
}

impl Rows {
    /// What a run says of the output.
    pub fn destination(&self) -> Destination {
        self.destination.clone()
    }

    /// Ends the output, `last` being the last rows of text or JSON: a file takes its name if the run came to its end.
    /// What fails is told.
    pub fn finish(mut self, last: &[u8], ended: &mut End) {
        if !ended.unread && !ended.lost {
            let written = match self.table.take() {
                Some(table) => table.finish(ended.whole),
                None => self
                    .output
                    .write_all(last)
                    .and_then(|()| self.output.flush()),
            };
            end::note_last(&self.destination, written, ended);
        }
        if ended.unread || ended.lost {
            // The file is removed.
            return;
        }
        let name = &self.destination.name;
        let Some(file) = self.file else { return };
        if ended.whole {
            if let Err(error) = file.take_name() {
                ended.failed = true;
                messages::complain(&format!("{name}: {error}; it was not written"));
            }
            return;
        }
        let why = if ended.interrupted {
            "interrupted"
        } else {
            "the run ended early"
        };
        messages::complain(&match file.keep() {
            Ok(kept) => format!(
                "{why}: the rows so far are in {}, and {name} was not written",
                kept.display()
            ),
            Err(error) => {
                format!("{why}: {name} was not written, and the rows so far are lost: {error}")
            }
        });
    }

    /// Ends the output of a command that has found out that there is nothing to do: a table has no rows.
    ///
    /// # Errors
    /// A message, if it cannot be written.
    pub fn finish_empty(self) -> Result<(), String> {
        let written = self.table.map_or(Ok(()), |table| table.finish(true));
        let named = written.and_then(|()| self.file.map_or(Ok(()), NewFile::take_name));
        named.map_err(|error| self.destination.lost(&error))
    }
}

impl Write for Rows {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        let written = match &mut self.table {
            Some(table) => table.write(rows)?,
            None => self.output.write(rows)?,
        };
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.table {
            Some(table) => table.flush(),
            None => self.output.flush(),
        }
    }
}
