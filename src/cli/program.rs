//! `gristmill asm`, `disasm` and `verify`: programs as text, as bytes, and what the verifier says of them.

use super::common;
use crate::megakernel::vir0::{self, container, disasm, verify, Limits};
use crate::program::{parse, ProgramError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flags of `gristmill asm`.
#[derive(Debug, Clone, clap::Args)]
pub struct AsmArgs {
    /// The source, usually a .vasm file; `-` is standard input
    source: PathBuf,

    /// The file to write; by default the source's name with the ending .vir0; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Leave out the debug information: the source's name and the line of each instruction, which messages about faults name
    #[arg(long)]
    strip: bool,

    /// Write a program that the verifier refuses, too
    #[arg(long)]
    unverified: bool,
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
}

/// Runs `gristmill asm`.
///
/// # Errors
/// What cannot be encoded or written, in words.
pub fn assemble(args: &AsmArgs) -> Result<ExitCode, String> {
    // With the lines, even where they are left out of the result: a refusal tells of them.
    let (mut program, source) = match load(&args.source) {
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
    if output == args.source && !stdin {
        return Err(format!(
            "{}: would be overwritten by its program; name an output with -o",
            output.display()
        ));
    }
    write(&output, &bytes)
}

/// Runs `gristmill disasm`.
///
/// # Errors
/// What cannot be written, in words.
pub fn disassemble(args: &DisasmArgs) -> Result<ExitCode, String> {
    let program = match load(&args.program) {
        Ok((program, _)) => program,
        Err(error) => return Ok(refuse(&error)),
    };
    write(
        args.output.as_deref().unwrap_or(Path::new("-")),
        disasm::disassemble(&program).as_bytes(),
    )
}

/// Runs `gristmill verify`: 0 where all are accepted, 1 where one is refused, 2 where one is no program.
///
/// # Errors
/// Where standard output cannot be written.
pub fn check(args: &VerifyArgs) -> Result<ExitCode, String> {
    let mut rows = String::new();
    let mut code = 0;
    for path in &args.programs {
        let (program, source) = match load(path) {
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
    write(Path::new("-"), rows.as_bytes())?;
    Ok(ExitCode::from(code))
}

/// Says why there is no program; the exit code.
pub fn refuse(error: &ProgramError) -> ExitCode {
    if error.has_lines() {
        common::complain_in_lines(&error.to_string());
    } else {
        common::complain(&error.to_string());
    }
    ExitCode::from(2)
}

/// A program that is assembled, or a text, with its debug information; and the bytes that it came from.
fn load(path: &Path) -> Result<(vir0::Program, Vec<u8>), ProgramError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::Read::read_to_end(&mut io::stdin(), &mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    match read {
        Ok(()) => Ok((parse(path, &bytes, true)?, bytes)),
        Err(error) => Err(ProgramError::Read {
            path: path.to_path_buf(),
            error,
        }),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<ExitCode, String> {
    if path == Path::new("-") {
        let mut output = common::stdout()?;
        common::written(output.write_all(bytes).and_then(|()| output.flush()))?;
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::write(path, bytes)
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| format!("{}: {error}; name another output with -o", path.display()))
}
