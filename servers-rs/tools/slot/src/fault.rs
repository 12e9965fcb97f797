// SPDX-License-Identifier: PMPL-1.0-or-later
//! What goes wrong, said to a person and to a program.

use serde_json::{Value, json};
use std::{fmt, io, path::Path};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Fault {
    /// A fixed word, for programs and tests: `tree/no-source`.
    pub code: &'static str,
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Set when a check was made and said no: the whole report.
    pub details: Option<Value>,
    ours: bool,
}

impl Fault {
    /// The input's fault: exit code 2.
    pub fn input(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, details: None, ours: false }
    }

    /// Our fault: exit code 1.
    pub fn ours(code: &'static str, message: impl Into<String>) -> Self {
        Self { ours: true, ..Self::input(code, message) }
    }

    /// A file that could not be read or written.
    pub fn file(code: &'static str, doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::input(code, format!("{doing} {}: {error}", path.display()))
    }

    /// Names the file at fault in front.
    pub fn about(self, path: &Path) -> Self {
        Self { message: format!("{}: {}", path.display(), self.message), ..self }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn details(self, details: Value) -> Self {
        Self { details: Some(details), ..self }
    }

    pub fn exit_code(&self) -> u8 {
        if self.ours { 1 } else { 2 }
    }

    /// What standard output says: the report of a check, or the error alone.
    pub fn report(&self) -> Value {
        let mut report = self.details.clone().unwrap_or_else(|| json!({}));
        if let Some(fields) = report.as_object_mut() {
            fields.insert("ok".into(), json!(false));
            fields.insert("error".into(), json!({ "code": self.code, "message": self.message, "hint": self.hint }));
        }
        report
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
