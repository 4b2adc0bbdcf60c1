//! The names of subjects.

use crate::fleet::Subject;

/// Names and reads the subjects below one prefix.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    configuration: String,
    calls: String,
    /// Of every partition, ready to be sent.
    partitions: Vec<async_nats::Subject>,
}

impl Subjects {
    pub(super) fn below(prefix: &str, partitions: u16) -> Self {
        let calls = format!("{prefix}.calls.");
        let partitions = (0..partitions).map(|partition| format!("{calls}{partition}").into()).collect();
        Self { configuration: format!("{prefix}.config"), calls, partitions }
    }

    /// Nothing for a partition that there is not.
    pub(super) fn name(&self, subject: Subject) -> Option<async_nats::Subject> {
        match subject {
            Subject::Configuration => Some(self.configuration.as_str().into()),
            Subject::Calls(partition) => self.partitions.get(usize::from(partition)).cloned(),
        }
    }

    pub(super) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// Nothing where it is the name of none.
    pub(super) fn read(&self, name: &str) -> Option<Subject> {
        if name == self.configuration {
            return Some(Subject::Configuration);
        }
        let partition: u16 = name.strip_prefix(&self.calls)?.parse().ok()?;
        (usize::from(partition) < self.partitions.len()).then_some(Subject::Calls(partition))
    }

    /// All calls.
    pub(super) fn calls(&self) -> String {
        format!("{}*", self.calls)
    }

    /// What the stream takes.
    pub(super) fn all(&self) -> Vec<String> {
        vec![self.configuration.clone(), self.calls()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_read() {
        let subjects = Subjects::below("a.b", 10);
        for subject in [Subject::Configuration, Subject::Calls(0), Subject::Calls(9)] {
            let name = subjects.name(subject).expect("there is one");
            assert_eq!(subjects.read(&name), Some(subject));
        }
        assert_eq!(subjects.name(Subject::Calls(10)), None);
        for foreign in
            ["", "a.b", "a.b.config.1", "a.b.calls.", "a.b.calls.x", "a.b.calls.10", "a.b.calls.1.2", "b.config"]
        {
            assert_eq!(subjects.read(foreign), None, "{foreign}");
        }
    }
}
