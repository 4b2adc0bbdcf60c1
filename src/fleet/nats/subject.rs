//! The names of subjects.

use crate::fleet::Subject;

/// Names and reads the subjects below one prefix.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    configuration: String,
    calls: String,
}

impl Subjects {
    pub(super) fn below(prefix: &str) -> Self {
        Self { configuration: format!("{prefix}.config"), calls: format!("{prefix}.calls.") }
    }

    pub(super) fn name(&self, subject: Subject) -> String {
        match subject {
            Subject::Configuration => self.configuration.clone(),
            Subject::Calls(partition) => format!("{}{partition}", self.calls),
        }
    }

    /// Nothing where it is the name of none.
    pub(super) fn read(&self, name: &str) -> Option<Subject> {
        if name == self.configuration {
            return Some(Subject::Configuration);
        }
        name.strip_prefix(&self.calls)?.parse().ok().map(Subject::Calls)
    }

    /// All calls.
    pub(super) fn calls(&self) -> String {
        format!("{}*", self.calls)
    }

    /// What the stream takes.
    pub(super) fn all(&self) -> Vec<String> {
        vec![self.configuration.clone(), self.calls()]
    }

    /// What a node takes.
    pub(super) fn share(&self, partitions: Option<&[u16]>) -> Vec<String> {
        let Some(partitions) = partitions else { return self.all() };
        let calls = partitions.iter().map(|partition| self.name(Subject::Calls(*partition)));
        std::iter::once(self.configuration.clone()).chain(calls).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_read() {
        let subjects = Subjects::below("a.b");
        for subject in [Subject::Configuration, Subject::Calls(0), Subject::Calls(u16::MAX)] {
            assert_eq!(subjects.read(&subjects.name(subject)), Some(subject));
        }
        for foreign in
            ["", "a.b", "a.b.config.1", "a.b.calls.", "a.b.calls.x", "a.b.calls.65536", "a.b.calls.1.2", "b.config"]
        {
            assert_eq!(subjects.read(foreign), None, "{foreign}");
        }
        assert_eq!(subjects.share(None), ["a.b.config", "a.b.calls.*"]);
        assert_eq!(subjects.share(Some(&[7, 9])), ["a.b.config", "a.b.calls.7", "a.b.calls.9"]);
    }
}
