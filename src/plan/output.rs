//! The part of the plan that is about what is shown.

use std::env;
use std::path::Path;

use crate::cli::{Cli, OnlyArg, WhenArg};
use crate::error::Error;
use crate::output::{
    Colors, FailedTo, FilesSpec, GatherForm, GatherSpec, HtmlSpec, LabelFormat, ReportSpec,
    SummaryLevel, Terminals,
};
use crate::transport::ssh::config::keywords;

/// Decides what is shown.
///
/// # Errors
/// What was asked for cannot be at once, or makes no sense.
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
    let gathering = equal_once(cli) || cli.lines_together;
    Ok(ReportSpec {
        label: !cli.no_label,
        label_format: label_format(cli)?,
        colors: colors(cli.color, terminals),
        lines: cli.live || !gathering,
        gather: gathering.then(|| gather(cli)).transpose()?,
        verbose: cli.verbose,
        json: cli.json,
        files: FilesSpec {
            output_dir: cli.output_dir.clone(),
            error_dir: cli.error_dir.clone(),
            append: cli.append,
        },
        only_failed: cli.only == Some(OnlyArg::Failed),
        words: match cli.only {
            _ if cli.quiet => SummaryLevel::None,
            Some(OnlyArg::Output) => SummaryLevel::None,
            Some(OnlyArg::Failed) => SummaryLevel::IfFailed,
            Some(OnlyArg::Odd) | None => SummaryLevel::All,
        },
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
            // Beside what the gathered output keeps, and mostly the same.
            memory: cli.spool_memory / 4,
        }),
    })
}

/// A directory's name that is a setting for ssh, as `-o` takes it in ssh, if there is no such directory.
fn ssh_setting(dir: &Path) -> Option<String> {
    let name = dir.to_str()?;
    let (key, _) = name.split_once(['=', ' '])?;
    let is_keyword = keywords().any(|known| known.eq_ignore_ascii_case(key));
    (is_keyword && !dir.exists()).then(|| name.to_owned())
}

/// Where colours are shown: on terminals, unless the user said otherwise.
pub(super) fn colors(when: WhenArg, terminals: Terminals) -> Colors {
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

/// Whether a terminal here can do no more than print.
fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// How labels look, if not as usual.
fn label_format(cli: &Cli) -> Result<Option<LabelFormat>, Error> {
    let format = cli.label.as_deref().map(str::parse);
    format.transpose().map_err(Error::Label)
}

/// Whether equal outputs are to stand once.
fn equal_once(cli: &Cli) -> bool {
    cli.gather || cli.gather_all || cli.diff || cli.only == Some(OnlyArg::Odd)
}

/// Decides how gathered output looks.
///
/// # Errors
/// The form of labels makes no sense.
pub(super) fn gather(cli: &Cli) -> Result<GatherSpec, Error> {
    let form = match (equal_once(cli), cli.lines_together) {
        _ if cli.diff => GatherForm::Diff,
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
