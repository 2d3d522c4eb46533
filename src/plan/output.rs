//! The part of the plan about output.

use std::env;
use std::path::{Path, PathBuf};

use ssh_files::keywords;

use super::target_paths;
use crate::cli::{Cli, OnlyArg, WhenArg};
use crate::error::Error;
use crate::output::{
    Colors, FailedTo, FilesSpec, GatherForm, GatherSpec, HtmlSpec, LabelFormat, MessageForm,
    ReportSpec, RunInfo, SummaryLevel, Terminals,
};

/// Decides the reports of a run.
///
/// # Errors
/// Options contradict each other, or a value is wrong.
pub(super) fn spec(cli: &Cli, terminals: Terminals) -> Result<ReportSpec, Error> {
    let failed_to = match &cli.failed_to {
        Some(path) if path == Path::new("-") => Some(FailedTo::Stdout),
        path => path.clone().map(FailedTo::File),
    };
    if cli.json && failed_to == Some(FailedTo::Stdout) {
        return Err(Error::OneStandardOutput);
    }
    if let Some(setting) = cli.output_dir.as_deref().and_then(ssh_setting) {
        return Err(Error::SettingAsDirectory { setting });
    }
    let gathers = folds_equal(cli) || cli.lines_together;
    Ok(ReportSpec {
        label: !cli.no_label,
        label_format: label_format(cli)?,
        colors: colors(cli.color, terminals),
        lines: cli.live || !gathers,
        gather: gathers.then(|| gather(cli)).transpose()?,
        verbose: cli.verbose,
        json: cli.json,
        files: FilesSpec::default(),
        only_failed: cli.only == Some(OnlyArg::Failed),
        words: match cli.only {
            _ if cli.quiet => SummaryLevel::None,
            Some(OnlyArg::Output) => SummaryLevel::None,
            Some(OnlyArg::Failed) => SummaryLevel::IfFailed,
            Some(OnlyArg::Odd) | None => SummaryLevel::All,
        },
        // Personalities change these.
        form: MessageForm::Summary,
        open_ends: false,
        outlives_reader: false,
        failed_to,
        stats: cli.stats,
        progress: match cli.progress {
            WhenArg::Always => true,
            WhenArg::Never => false,
            WhenArg::Auto => terminals.err && !is_dumb() && !cli.quiet,
        },
        html: cli.report.clone().map(|path| HtmlSpec {
            path,
            merge: cli.gather_all,
            // The gathered output keeps the same text, so the page gets less memory.
            memory: cli.spool_memory / 4,
        }),
    })
}

/// Decides the places of the files of `-o` and `-e`, which may depend on the targets.
///
/// # Errors
/// A placeholder is wrong, or two targets would have one file.
pub(super) fn files(cli: &Cli, info: &RunInfo) -> Result<FilesSpec, Error> {
    let place = |option, value: &Option<PathBuf>| {
        let place = value.as_deref();
        place
            .map(|text| target_paths::files(option, text, info))
            .transpose()
    };
    Ok(FilesSpec {
        output: place("-o", &cli.output_dir)?,
        errors: place("-e", &cli.error_dir)?,
        append: cli.append,
    })
}

/// Returns the value of `-o` if it is a setting of ssh, as for the `-o` of ssh, and no directory.
fn ssh_setting(dir: &Path) -> Option<String> {
    let name = dir.to_str()?;
    let (key, _) = name.split_once(['=', ' '])?;
    let is_keyword = keywords().any(|known| known.eq_ignore_ascii_case(key));
    // A directory of such a name can only be meant as a directory.
    (is_keyword && !dir.exists()).then(|| name.to_owned())
}

/// Returns the streams with colours: terminals, unless the user chose otherwise.
pub(super) fn colors(when: WhenArg, terminals: Terminals) -> Colors {
    // By the rule of no-color.org an empty value has no effect.
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match when {
        WhenArg::Always => Colors {
            out: true,
            err: true,
        },
        WhenArg::Auto if !no_color && !is_dumb() => Colors {
            out: terminals.out,
            err: terminals.err,
        },
        WhenArg::Auto | WhenArg::Never => Colors::default(),
    }
}

/// Returns true if the terminal understands no escape sequences.
fn is_dumb() -> bool {
    // Nothing is known of a terminal without a name, so it gets no escape sequences.
    env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// Returns the format of labels, if it is not the default.
fn label_format(cli: &Cli) -> Result<Option<LabelFormat>, Error> {
    let format = cli.label.as_deref().map(str::parse);
    format.transpose().map_err(Error::Placeholder)
}

/// Returns true if the gathered outputs are compared with each other. With `--check`, the files of each target are
/// compared with the sources instead.
fn gathers_diff(cli: &Cli) -> bool {
    cli.diff && !cli.check
}

/// Returns true if equal outputs are printed once.
fn folds_equal(cli: &Cli) -> bool {
    cli.gather || cli.gather_all || gathers_diff(cli) || cli.only == Some(OnlyArg::Odd)
}

/// Decides the form of gathered output.
///
/// # Errors
/// The format of labels is wrong.
pub(super) fn gather(cli: &Cli) -> Result<GatherSpec, Error> {
    let form = match (folds_equal(cli), cli.lines_together) {
        _ if gathers_diff(cli) => GatherForm::Diff,
        (_, false) => GatherForm::Blocks,
        (true, true) => GatherForm::Lines,
        (false, true) => GatherForm::Hosts,
    };
    Ok(GatherSpec {
        form,
        merge: cli.gather_all,
        only_odd: cli.only == Some(OnlyArg::Odd),
        only_failed: cli.only == Some(OnlyArg::Failed),
        live: cli.live,
        memory: cli.spool_memory,
        label_format: label_format(cli)?,
    })
}
