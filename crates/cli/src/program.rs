//! `gristmill asm`, `disasm` and `verify`: programs as text, programs as bytes, and the verifier's verdicts.

use super::outputs::{self, Replaces};
use super::{advice, messages, stdout};
use gristmill::bounded;
use gristmill::megakernel::vir0::{self, container, disasm, verify, Limits};
use gristmill::program::{Loader, ProgramError, MAX_PROGRAM_BYTES};
use gristmill::source::{stdin, FileId};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flags of `gristmill asm`.
#[derive(Debug, Clone, clap::Args)]
pub struct AsmArgs {
    /// The source, usually a .vasm file; `-` is standard input
    source: PathBuf,

    /// The file to write; the default is the source's name with the extension .vir0; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Omit the debug information (the source's name and each instruction's line), which messages about faults show
    #[arg(long)]
    strip: bool,

    /// Write the program even if the verifier refuses it
    #[arg(long)]
    unverified: bool,

    #[command(flatten)]
    includes: IncludeArgs,
}

/// Which files a text may name.
#[derive(Debug, Clone, clap::Args)]
pub struct IncludeArgs {
    /// Let `.file` in a text name files below this directory, in addition to the text's own. May be given several
    /// times.
    #[arg(long, value_name = "DIR")]
    allow_include: Vec<PathBuf>,
}

impl IncludeArgs {
    /// A loader that allows these directories.
    pub fn loader(&self) -> Loader {
        let allowed = self.allow_include.iter();
        allowed.fold(Loader::new(), |loader, directory| loader.allow(directory))
    }
}

/// Flags of `gristmill disasm`.
#[derive(Debug, Clone, clap::Args)]
pub struct DisasmArgs {
    /// The program; `-` is standard input
    program: PathBuf,

    /// The file to write, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Flags of `gristmill verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// Programs, assembled or as text; `-` is standard input
    #[arg(required = true)]
    programs: Vec<PathBuf>,

    /// Write no rows for programs that are accepted
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    includes: IncludeArgs,
}

/// Runs `gristmill asm`.
///
/// # Errors
/// A message about a program that cannot be encoded or written.
pub fn assemble(args: &AsmArgs) -> Result<ExitCode, String> {
    // The lines are kept here even if the result leaves them out, because a refusal shows them.
    let loader = args.includes.loader();
    let (mut program, source) = match load(&loader, &args.source) {
        Ok(loaded) => loaded,
        Err(error) => return Ok(refuse(&error)),
    };
    if !args.unverified {
        if let Err(refusal) = verify(program.clone(), &Limits::default()) {
            let name = args.source.display().to_string();
            return Ok(refuse(&ProgramError::refused(&name, &source, refusal)));
        }
    }
    if args.strip {
        program.debug = None;
    }
    let bytes = container::encode(&program)
        .map_err(|error| format!("{}: {error}", args.source.display()))?;
    let stdin = args.source == Path::new("-");
    let output = match &args.output {
        Some(output) => output.clone(),
        None if stdin => "-".into(),
        None => args.source.with_extension("vir0"),
    };
    write(
        &output,
        &bytes,
        &loader,
        Replaces::Own {
            magic: &container::MAGIC,
            name: "an assembled program",
        },
    )
}

/// Runs `gristmill disasm`.
///
/// # Errors
/// A message about an output that cannot be written.
pub fn disassemble(args: &DisasmArgs) -> Result<ExitCode, String> {
    let loader = Loader::new();
    let program = match load(&loader, &args.program) {
        Ok((program, _)) => program,
        Err(error) => return Ok(refuse(&error)),
    };
    write(
        args.output.as_deref().unwrap_or(Path::new("-")),
        disasm::disassemble(&program).as_bytes(),
        &loader,
        Replaces::Any,
    )
}

/// Runs `gristmill verify`. The exit code is 0 if all are accepted, 1 if one is refused, and 2 if one is not a program.
///
/// # Errors
/// A message, if standard output cannot be written.
pub fn check(args: &VerifyArgs) -> Result<ExitCode, String> {
    let mut rows = String::new();
    let mut code = 0;
    let loader = args.includes.loader();
    for path in &args.programs {
        let (program, source) = match load(&loader, path) {
            Ok(loaded) => loaded,
            Err(error) => {
                refuse(&error);
                code = 2;
                continue;
            }
        };
        let shown = path.display();
        let (instructions, chunk) = (program.code.len(), program.chunk);
        match verify(program, &Limits::default()) {
            Ok(_) if args.quiet => {}
            Ok(verified) => rows.push_str(&format!(
                "{shown}: accepted: {instructions} instructions; at most {} executed for a chunk of {chunk} bytes ({}), \
                 about {:.3} seconds of one core\n",
                verified.cost().at(chunk),
                verified.cost(),
                vir0::Work::seconds(verified.work().at(chunk)),
            )),
            Err(refusal) => {
                let refused = ProgramError::refused(&shown.to_string(), &source, refusal);
                rows.push_str(&format!("{refused}\n"));
                code = code.max(1);
            }
        }
    }
    stdout::print(rows.as_bytes())?;
    Ok(ExitCode::from(code))
}

/// Prints why a program could not be loaded. Returns the exit code.
pub fn refuse(error: &ProgramError) -> ExitCode {
    if error.has_lines() {
        messages::complain_in_lines(&advice::program(error));
    } else {
        messages::complain(&error.to_string());
    }
    ExitCode::from(2)
}

/// Loads a program, assembled or as text with its debug information. Returns it with the bytes that it came from.
fn load(loader: &Loader, path: &Path) -> Result<(vir0::Program, Vec<u8>), ProgramError> {
    if path != Path::new("-") {
        return loader.load(path);
    }
    let read = stdin().and_then(|stdin| {
        loader.reads(FileId::of(&stdin)?);
        bounded::read(stdin, MAX_PROGRAM_BYTES)
    });
    let bytes = read.map_err(|error| ProgramError::Read {
        path: path.to_path_buf(),
        error,
    })?;
    Ok((loader.parse(path, &bytes)?, bytes))
}

/// Writes an output, which must not be one of the files that were read.
fn write(
    path: &Path,
    bytes: &[u8],
    loader: &Loader,
    replaces: Replaces,
) -> Result<ExitCode, String> {
    if path == Path::new("-") {
        return stdout::print(bytes).map(|()| ExitCode::SUCCESS);
    }
    let shown = path.display();
    let input = |file| {
        let read = loader.has_read(file);
        read.then(|| "the source, or a file that it names".to_owned())
    };
    outputs::open(path, replaces, input)
        .and_then(|mut file| file.write_all(bytes).map_err(|error| error.to_string()))
        .map(|()| ExitCode::SUCCESS)
        .map_err(|why| format!("{shown}: {why}; name another output with -o"))
}
