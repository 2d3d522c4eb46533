//! Variables of an inventory for commands (`--inventory-env`). Variables of Ansible itself (`ansible_…`) are none of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::targets::{NameFault, Variable};

/// Start of the names of Ansible's own variables.
const OF_ANSIBLE: &str = "ansible_";

/// Header of a value that `ansible-vault` has encrypted.
const ENCRYPTED: &str = "$ANSIBLE_VAULT";

/// The value of a variable for commands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InventoryValue {
    /// A text or a number, as it is written.
    Text(Arc<str>),
    /// `null`: the variable is not set, also if a group sets it.
    Null,
    /// No command can have it, for this reason.
    Unusable(&'static str),
}

/// Variables for commands, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExportedVariables(BTreeMap<Arc<str>, InventoryValue>);

impl ExportedVariables {
    /// Sets a variable. `value` is `None` for a list or a mapping.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        self.insert(name, InventoryValue::of(name, value));
    }

    /// Sets a variable to `null`.
    pub(super) fn set_null(&mut self, name: &str) {
        self.insert(name, InventoryValue::Null);
    }

    fn insert(&mut self, name: &str, value: InventoryValue) {
        if !name.starts_with(OF_ANSIBLE) {
            self.0.insert(name.into(), value);
        }
    }

    /// Returns these variables, with those of `other` that are not set here.
    pub(super) fn or(&self, other: &ExportedVariables) -> ExportedVariables {
        let mut all = other.0.clone();
        all.extend(
            self.0
                .iter()
                .map(|(name, value)| (Arc::clone(name), value.clone())),
        );
        ExportedVariables(all)
    }

    /// Returns the variables in the order of their names.
    pub(super) fn list(self) -> Vec<(Arc<str>, InventoryValue)> {
        self.0.into_iter().collect()
    }
}

impl InventoryValue {
    fn of(name: &str, value: Option<&str>) -> InventoryValue {
        let Some(value) = value else {
            return InventoryValue::Unusable("a list or a mapping");
        };
        match Variable::check_name(name) {
            Err(NameFault::Reserved) => InventoryValue::Unusable("mrsh keeps the name for itself"),
            Err(_) => InventoryValue::Unusable("no name of a shell variable"),
            // Ansible's templates are Jinja2 expressions and statements.
            Ok(()) if value.contains("{{") || value.contains("{%") => {
                InventoryValue::Unusable("a template")
            }
            Ok(()) if value.starts_with(ENCRYPTED) => InventoryValue::Unusable("encrypted"),
            Ok(()) if value.contains('\0') => InventoryValue::Unusable("a NUL character"),
            Ok(()) => InventoryValue::Text(value.into()),
        }
    }
}
