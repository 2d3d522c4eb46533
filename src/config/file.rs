//! One configuration file: its settings, profiles and groups, each with its line for messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    ConfigFileError, OptionSetting, OptionSettings, SettingSource, SettingsError, argument, check,
    keys,
};
use crate::targets::groups::OwnGroup;
use crate::targets::suggest::nearest;
use crate::targets::{Diagnostic, Origin};
use nodeset::DefinitionPlace;

/// One configuration file.
pub(super) struct ConfigFile<'a> {
    pub(super) name: Arc<str>,
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl ConfigFile<'_> {
    /// Returns the settings of the file, and those of its profiles by name. Its groups go to `groups`.
    pub(super) fn read(
        &self,
        command: &Command,
        groups: &mut BTreeMap<String, OwnGroup>,
    ) -> Result<(OptionSettings, Vec<(String, OptionSettings)>), SettingsError> {
        let table = DeTable::parse(self.text)
            .map_err(|e| self.fault(e.span().unwrap_or(0..0), e.message(), None))?;
        let mut top = OptionSettings::new();
        let mut profiles = Vec::new();
        for (key, value) in table.get_ref() {
            match key.get_ref().as_ref() {
                "profile" => {
                    for (name, table) in self.table(value)? {
                        let mut layer = OptionSettings::new();
                        for (key, value) in self.table(table)? {
                            self.setting(command, Some(name.get_ref()), key, value, &mut layer)?;
                        }
                        profiles.push((name.get_ref().to_string(), layer));
                    }
                }
                "groups" => {
                    for (name, members) in self.table(value)? {
                        let group = OwnGroup {
                            text: self.members(members)?,
                            place: Some(Arc::new(self.place(members.span()))),
                        };
                        groups.insert(name.get_ref().to_string(), group);
                    }
                }
                _ => self.setting(command, None, key, value, &mut top)?,
            }
        }
        Ok((top, profiles))
    }

    fn table<'v, 't>(
        &self,
        value: &'v Spanned<DeValue<'t>>,
    ) -> Result<&'v DeTable<'t>, SettingsError> {
        value.get_ref().as_table().ok_or_else(|| {
            let help = "it begins with [profile.NAME], or [groups]".to_owned();
            self.fault(value.span(), "expected a table", Some(help))
        })
    }

    /// Returns the members of a group: an expression, or a list of expressions.
    fn members(&self, value: &Spanned<DeValue>) -> Result<String, SettingsError> {
        let text = |value: &Spanned<DeValue>| match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            other => {
                let found = other.type_str();
                let message = format!("a group takes text or a list of texts, not {found}");
                Err(self.fault(value.span(), message, None))
            }
        };
        match value.get_ref() {
            DeValue::Array(items) => {
                let items: Vec<String> = items.iter().map(text).collect::<Result<_, _>>()?;
                Ok(items.join(","))
            }
            _ => text(value),
        }
    }

    fn setting(
        &self,
        command: &Command,
        profile: Option<&str>,
        key: &Spanned<Cow<str>>,
        value: &Spanned<DeValue>,
        layer: &mut OptionSettings,
    ) -> Result<(), SettingsError> {
        let name = key.get_ref().as_ref();
        let Some(option) = keys(command)
            .find(|known| *known == name)
            .and_then(|known| argument(command, known))
        else {
            let help = nearest(name, keys(command)).map(|near| format!("is it {near}?"));
            let help = help.or_else(|| Some("keys are the long options of mrsh --help".to_owned()));
            return Err(self.fault(key.span(), format!("unknown key {name}"), help));
        };
        let texts = texts(option, value.get_ref()).map_err(|expected| {
            let found = value.get_ref().type_str();
            self.fault(
                value.span(),
                format!("{name} takes {expected}, not {found}"),
                None,
            )
        })?;
        // The setting must name the same hosts file from every directory in which mrsh is called.
        let values: Vec<OsString> = if name == "hosts-file" {
            texts
                .into_iter()
                .map(|path| self.resolve_path(path))
                .collect()
        } else {
            texts.into_iter().map(OsString::from).collect()
        };
        let source = SettingSource::File {
            file: Arc::clone(&self.name),
            line: self.line(value.span().start),
            profile: profile.map(str::to_owned),
        };
        // Checked here, where the line of the value is known.
        check(name, &values).map_err(|message| self.fault(value.span(), message, None))?;
        layer.insert(name.to_owned(), OptionSetting { values, source });
        Ok(())
    }

    /// Returns a path of this file as an absolute one: `~` is the home directory, and a relative path starts at the
    /// directory of the file.
    fn resolve_path(&self, path: String) -> OsString {
        // No shell expands the tilde of a configuration file.
        match (path.strip_prefix("~/"), env::home_dir()) {
            _ if path == "-" => path.into(),
            (Some(rest), Some(home)) => home.join(rest).into(),
            _ => self
                .path
                .parent()
                .unwrap_or(Path::new(""))
                .join(path)
                .into(),
        }
    }

    /// Returns the line of a definition, or the first of several lines.
    fn place(&self, span: Range<usize>) -> DefinitionPlace {
        let start = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[span.start..]
            .find('\n')
            .map_or(self.text.len(), |at| span.start + at);
        DefinitionPlace {
            file: Arc::clone(&self.name),
            line: self.line(span.start),
            text: self.text[start..end].to_owned(),
            span: span.start - start..span.end.min(end) - start,
        }
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].bytes().filter(|&b| b == b'\n').count()
    }

    fn fault(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> SettingsError {
        let origin = Origin::line(&self.name, self.line(span.start));
        let diagnostic = Diagnostic::new(&origin, self.text, span, message, help);
        SettingsError::File(Box::new(ConfigFileError(diagnostic)))
    }
}

/// Returns a value as the texts that its option parses, or the types that the option takes.
fn texts(option: &Arg, value: &DeValue) -> Result<Vec<String>, &'static str> {
    let scalar = |value: &DeValue| match value {
        DeValue::String(text) => Some(text.to_string()),
        // In the written form, which clap reads like a word of the command line.
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    };
    match (option.get_action(), value) {
        (ArgAction::SetTrue, DeValue::Boolean(set)) => Ok(vec![set.to_string()]),
        (ArgAction::SetTrue, _) => Err("true or false"),
        (ArgAction::Append, DeValue::Array(items)) => items
            .iter()
            .map(|item| scalar(item.get_ref()))
            .collect::<Option<_>>()
            .ok_or("text or a list of texts"),
        (ArgAction::Append, value) => scalar(value)
            .map(|text| vec![text])
            .ok_or("text or a list of texts"),
        (_, value) => scalar(value)
            .map(|text| vec![text])
            .ok_or("text or a number"),
    }
}
