//! `scan --rules`: what the rules of rule files find.

pub(super) mod args;

use super::super::collected::Collected;
use super::super::report_args::ReportArgs;
use super::super::{advice, end, messages, one_job, report};
use super::args::ScanArgs;
use super::loaded::Loaded;
use super::patterns::PatternArgs;
use super::refusal::Refusal;
use super::search;
use gristmill::jobs::sweep::findings::{
    finding_schema, sarif_tail, Findings, FindingsReport, Format, Notice, SarifWriter,
};
use gristmill::jobs::sweep::{Case, LineSettings, SweepBuildError, SweepJob, SweepJobBuilder};
use gristmill::rules::{literal, RuleSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The rules of all files, and behind them the patterns of -e and -f, which are read as `settings` say.
///
/// # Errors
/// What is wrong with a file or a pattern.
pub fn rule_set(
    files: &[PathBuf],
    given: &PatternArgs,
    settings: &LineSettings,
) -> Result<RuleSet, Refusal> {
    let mut rules = RuleSet::default();
    for path in files {
        let read = rules.read(path);
        read.map_err(|error| Refusal::Lines(error.to_string()))?;
    }
    let (strings, fold) = (settings.fixed_strings, settings.case == Case::Insensitive);
    if !given.are_given() {
        if strings || fold {
            let flag = if strings { "-F" } else { "-i" };
            return Err(Refusal::Line(format!(
                    "{flag} applies to the patterns of -e and -f, and there are none: a rule file defines everything \
                     about its rules"
                )));
        }
        return Ok(rules);
    }
    let patterns = given.read()?;
    for (number, pattern) in patterns.all.iter().enumerate() {
        let refused = |reason: String| {
            let place = patterns.place(number);
            let place = place.map(|(file, line)| format!("{file}:{line}: "));
            Refusal::Line(place.unwrap_or_default() + &reason)
        };
        if pattern.is_empty() {
            return Err(refused(
                "an empty pattern, which would be found at every byte".into(),
            ));
        }
        let name = String::from_utf8_lossy(pattern);
        let regex = if strings {
            literal(pattern)
        } else {
            let text = std::str::from_utf8(pattern).map_err(|_| {
                    let text = name.escape_debug();
                    refused(format!(
                        "the pattern `{text}` is not UTF-8; write such a byte as (?-u:\\xFF), with its number"
                    ))
                })?;
            text.to_owned()
        };
        let prefix = if fold { "(?i)" } else { "" };
        let added = rules.add_pattern(&name, &format!("{prefix}{regex}"));
        added.map_err(|error| {
            let column = name[..error.offset.saturating_sub(prefix.len()).min(name.len())]
                .chars()
                .count();
            refused(format!(
                "the pattern `{}` is wrong at character {}: {}",
                name.escape_debug(),
                column + 1,
                error.reason
            ))
        })?;
    }
    Ok(rules)
}

/// What these rules are searched for by, beginning with `job`, and what they find.
///
/// # Errors
/// Why nothing is searched.
pub fn searched(
    args: &ScanArgs,
    rules: Arc<RuleSet>,
    job: SweepJobBuilder,
) -> Result<(Arc<Findings>, Arc<SweepJob>), Refusal> {
    let findings = Findings::new(rules)
        .format(args.findings_format())
        .report(args.findings_report())
        .show_secrets(args.rules.show_secrets)
        .color(args.color.colors(args.rows_to.to_terminal()))
        .null(args.null);
    let findings = Arc::new(findings);
    let job = job
        .findings(Arc::clone(&findings))
        .max_match(args.max_match as u64)
        .memory(args.set_memory)
        .build();
    let job = Arc::new(job.map_err(|error| refusal(error, findings.rules()))?);
    Ok((findings, job))
}

/// What could not be searched, or not be shown.
pub fn failures(job: &SweepJob, findings: &Findings) -> Vec<Notice> {
    let failed = |path: PathBuf, text: String| Notice {
        path: Some(path),
        text,
        error: true,
    };
    let unsearched = job.take_errors().into_iter();
    let unsearched = unsearched.map(|error| failed(error.path.clone(), advice::sweep(&error)));
    let unshown = findings.take_errors().into_iter();
    let unshown = unshown.map(|unshown| failed(unshown.path.clone(), unshown.to_string()));
    unsearched.chain(unshown).collect()
}

/// The rules that are asked for, and the job that begins to search for them.
///
/// # Errors
/// What is wrong with a file or a pattern.
pub fn asked(args: &ScanArgs) -> Result<(Arc<RuleSet>, SweepJobBuilder), Refusal> {
    let settings = args.reading.line_settings();
    let rules = rule_set(&args.rules.rules, &args.given, &settings)?;
    let job = SweepJob::builder().regex_size_limit(settings.size_limit);
    Ok((Arc::new(rules), job))
}

/// Finds what rules find.
///
/// # Errors
/// Why nothing is searched.
pub fn run(args: &ScanArgs) -> Result<ExitCode, Refusal> {
    let (rules, job) = asked(args)?;
    find(args, rules, job, None)
}

/// Finds what these rules find, which `job` searches for.
///
/// # Errors
/// Why nothing is searched.
pub fn find(
    args: &ScanArgs,
    rules: Arc<RuleSet>,
    job: SweepJobBuilder,
    loaded: Option<&Loaded>,
) -> Result<ExitCode, Refusal> {
    if rules.rules().is_empty() {
        args.write_nothing(finding_schema())?;
        return Ok(ExitCode::from(1));
    }
    let (report, format) = (args.findings_report(), args.findings_format());
    let (findings, job) = searched(args, rules, job)?;
    let (paths, default_directory) = args.paths()?;
    let countable =
        !args.decoding.decompresses() && !paths.iter().any(|path| path == Path::new("-"));
    let (source, estimate) = args.source(paths, default_directory)?;
    let (ordered, decode) = (args.walk.order().is_given(), args.decoding.decode(true));
    let mill = args.engine.mill_shared(ordered, decode)?;
    let mut rows = args.open_rows(finding_schema())?;
    let destination = rows.destination();
    let mut log;
    let output: &mut dyn Write = if format == Format::Sarif && report == FindingsReport::Each {
        log = SarifWriter::new(&mut rows, findings.rules());
        &mut log
    } else {
        &mut rows
    };
    let collected = Collected::default();
    let ends = ReportArgs {
        stats: false,
        silent: args.walk.is_silent(),
        collected: (format == Format::Sarif).then(|| collected.clone()),
        rows: destination.clone(),
        ..args.ends.clone()
    };
    let estimate = estimate.filter(|_| countable);
    let (ran, mut end) = one_job::run(&mill, source, Arc::clone(&job), output, &ends, estimate)?;
    let mut notices = notices(&collected);
    for failed in failures(&job, &findings) {
        end.failed = true;
        messages::complain(&failed.text);
        notices.push(failed);
    }
    let searched = ran.files + ran.failures;
    if default_directory && searched == 0 && !end.interrupted {
        end.failed = true;
        ends.complain(search::NOTHING_SEARCHED);
    }
    let code = end.number(u8::from(findings.found() == 0));
    if format == Format::Sarif {
        let successful = !end.failed && !end.interrupted;
        let tail = sarif_tail(successful, code, &notices);
        end::write_last(output, &destination, &tail, &mut end);
    }
    rows.finish(b"", &mut end);
    if args.ends.stats {
        let mut text = report::text(&ran);
        text += &search::plan(&*job, loaded);
        let (found, files) = (findings.found(), findings.files());
        text += &report::line("findings", &format!("{found} in {files} files"));
        // Nothing can be done where standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
    if args.quiet && findings.found() > 0 && !end.interrupted {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(end.code(u8::from(findings.found() == 0)))
}

/// Why the rules cannot be searched for.
pub fn refusal(error: SweepBuildError, rules: &RuleSet) -> Refusal {
    let mut error = match error {
        SweepBuildError::Pattern(error) => error,
        error @ SweepBuildError::Memory { .. } => {
            return Refusal::Line(advice::set_memory(&error));
        }
        error => return Refusal::Line(error.to_string()),
    };
    // Rules were read and checked before, so that it is about sizes.
    let flags = "--regex-size-limit, --set-memory";
    let rules = rules.rules().iter();
    let with_regex = rules.filter(|rule| rule.pattern().is_some());
    let number = error.pattern.take();
    let rule = number.and_then(|number| with_regex.map(|rule| rule.id()).nth(number));
    Refusal::Line(match rule {
        Some(rule) => format!("the rule `{rule}`: {error} ({flags})"),
        None => format!("{error} ({flags})"),
    })
}

/// What is said of files in a SARIF log.
pub fn notices(collected: &Collected) -> Vec<Notice> {
    let (errors, others) = collected.take();
    let mut notices: Vec<Notice> = errors
        .iter()
        .map(|error| Notice {
            path: error.path.clone(),
            text: advice::file(error),
            error: !error.is_notice(),
        })
        .collect();
    if others > 0 {
        notices.push(Notice {
            path: None,
            text: format!("{others} further errors about files"),
            error: true,
        });
    }
    notices
}
