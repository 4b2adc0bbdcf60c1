//! The names of the stream's subjects.

use crate::fleet::Subject;

/// Writes and parses the names of subjects with one prefix.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    configuration: String,
    calls: String,
    /// The name of each partition's subject, ready to be sent.
    partitions: Vec<async_nats::Subject>,
}

impl Subjects {
    pub(super) fn below(prefix: &str, partitions: u16) -> Self {
        let calls = format!("{prefix}.calls.");
        let partitions = (0..partitions).map(|partition| format!("{calls}{partition}").into()).collect();
        Self { configuration: format!("{prefix}.config"), calls, partitions }
    }

    /// Returns the name of a subject, or `None` if its partition does not exist.
    pub(super) fn name(&self, subject: Subject) -> Option<async_nats::Subject> {
        match subject {
            Subject::Configuration => Some(self.configuration.as_str().into()),
            Subject::Calls(partition) => self.partitions.get(usize::from(partition)).cloned(),
            Subject::Other => None,
        }
    }

    pub(super) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// Parses the name of a subject.
    pub(super) fn read(&self, name: &str) -> Subject {
        if name == self.configuration {
            return Subject::Configuration;
        }
        let partition = name.strip_prefix(&self.calls).and_then(|partition| partition.parse().ok());
        partition
            .filter(|partition| usize::from(*partition) < self.partitions.len())
            .map_or(Subject::Other, Subject::Calls)
    }

    /// Returns the pattern that matches the subjects of all partitions.
    pub(super) fn calls(&self) -> String {
        format!("{}*", self.calls)
    }

    /// Returns the subjects that the stream receives.
    pub(super) fn all(&self) -> Vec<String> {
        vec![self.configuration.clone(), self.calls()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_names_round_trip_and_foreign_names_are_recognized() {
        let subjects = Subjects::below("a.b", 10);
        for subject in [Subject::Configuration, Subject::Calls(0), Subject::Calls(9)] {
            let name = subjects.name(subject).expect("there is one");
            assert_eq!(subjects.read(&name), subject);
        }
        assert_eq!(subjects.name(Subject::Calls(10)), None);
        for foreign in
            ["", "a.b", "a.b.config.1", "a.b.calls.", "a.b.calls.x", "a.b.calls.10", "a.b.calls.1.2", "b.config"]
        {
            assert_eq!(subjects.read(foreign), Subject::Other, "{foreign}");
        }
    }
}
