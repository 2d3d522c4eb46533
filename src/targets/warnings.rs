//! Warnings about files and groups that were read, collected for the caller to print.

use std::cell::RefCell;
use std::rc::Rc;

/// A list of warnings, shared by all readers of a run; each text is in it once.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Rc<RefCell<Vec<String>>>);

impl Warnings {
    /// Adds a warning, unless the list has it already.
    pub fn add(&self, text: String) {
        let mut texts = self.0.borrow_mut();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }

    /// Removes and returns all warnings, in the order in which they were added.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }
}
