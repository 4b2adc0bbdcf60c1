//! `--map`: the column of each field.

use std::str::FromStr;

/// A field of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    From,
    To,
    At,
    /// The time of day, if `At` holds the date only.
    Time,
    /// When the call was created. It counts if `At` is empty, as in records of calls that were never connected.
    Placed,
    Agent,
    Status,
    /// The time of the answer. A completed call without it counts as not answered.
    Answered,
    /// Whether a machine answered. Then a completed call counts as voicemail.
    Voicemail,
}

impl Field {
    pub(in crate::import) const ALL: [Self; 9] = [
        Self::From,
        Self::To,
        Self::At,
        Self::Time,
        Self::Placed,
        Self::Agent,
        Self::Status,
        Self::Answered,
        Self::Voicemail,
    ];

    /// Returns whether a column with the name of the field holds it without `--map`. `time` is often that of another
    /// event.
    pub(in crate::import) const fn is_found_by_name(self) -> bool {
        !matches!(self, Self::Time | Self::Placed | Self::Voicemail)
    }

    pub(in crate::import) const fn name(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
            Self::At => "at",
            Self::Time => "time",
            Self::Placed => "placed",
            Self::Agent => "agent",
            Self::Status => "status",
            Self::Answered => "answered",
            Self::Voicemail => "voicemail",
        }
    }
}

/// The source of a field's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The column with this heading.
    Named(String),
    /// The column with this number, from 1.
    Numbered(usize),
    /// A fixed text for all calls.
    Constant(String),
    /// A fixed text for all calls, in quotes. It could be meant as a heading.
    Quoted(String),
}

/// A detail of a call, besides its fields. Only `--map` names its column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Detail {
    /// The id of the call.
    CallId,
    /// The field of the call's context with this name.
    Context(String),
}

impl Detail {
    /// Returns the detail with this name, or `None` if it is that of no detail.
    fn named(name: &str) -> Option<Self> {
        match name.strip_prefix("context.") {
            Some("") => None,
            Some(key) => Some(Self::Context(key.to_owned())),
            None => (name == "call_id").then_some(Self::CallId),
        }
    }

    /// Returns the name, as `--map` has it.
    pub(in crate::import) fn name(&self) -> String {
        match self {
            Self::CallId => "call_id".into(),
            Self::Context(key) => format!("context.{key}"),
        }
    }
}

/// The value of one `--map`: some fields and details, and their sources.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Map {
    fields: Vec<(Field, Source)>,
    details: Vec<(Detail, Source)>,
}

impl Map {
    pub(in crate::import) fn entries(&self) -> impl Iterator<Item = (Field, &Source)> {
        self.fields.iter().map(|(field, source)| (*field, source))
    }

    pub(in crate::import) fn details(&self) -> impl Iterator<Item = (&Detail, &Source)> {
        self.details.iter().map(|(detail, source)| (detail, source))
    }

    /// Returns the name of a detail that several of these values have.
    pub(in crate::import) fn repeated_detail(maps: &[Self]) -> Option<String> {
        let all: Vec<&Detail> = maps.iter().flat_map(Self::details).map(|(detail, _)| detail).collect();
        (1..all.len()).find(|place| all[..*place].contains(&all[*place])).map(|place| all[place].name())
    }
}

impl FromStr for Map {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut map = Self::default();
        for part in split_outside_quotes(text) {
            let (name, source) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not of the form FIELD=COLUMN, such as from=src"))?;
            let name = name.trim();
            let twice = || Err(format!("`{name}` is given twice"));
            if let Some(detail) = Detail::named(name) {
                if map.details.iter().any(|(known, _)| *known == detail) {
                    return twice();
                }
                map.details.push((detail, source.parse()?));
                continue;
            }
            let field = Field::ALL.into_iter().find(|field| field.name() == name).ok_or_else(|| {
                let names = Field::ALL.map(Field::name).join(", ");
                format!("`{name}` is not a field: use one of {names}, call_id, context.KEY")
            })?;
            if map.fields.iter().any(|(known, _)| *known == field) {
                return twice();
            }
            map.fields.push((field, source.parse()?));
        }
        Ok(map)
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(constant) = text.strip_prefix('=') {
            return Ok(Self::Constant(unquote(constant).to_owned()));
        }
        if text.len() > 1 && unquote(text) != text {
            return Ok(Self::Quoted(unquote(text).to_owned()));
        }
        match text.parse() {
            Ok(0) => Err("column 0 does not exist: columns are numbered from 1".into()),
            Ok(number) => Ok(Self::Numbered(number)),
            Err(_) if text.is_empty() => Err("the column is missing after the equals sign".into()),
            Err(_) => Ok(Self::Named(text.to_owned())),
        }
    }
}

/// `--only`: a column and the value that it must hold. Other lines are skipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Only {
    pub(in crate::import) column: Source,
    pub(in crate::import) value: String,
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (column, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not of the form COLUMN=VALUE, such as dcontext=outbound"))?;
        match column.parse()? {
            Source::Constant(_) | Source::Quoted(_) => Err("the column is missing before the equals sign".into()),
            column => Ok(Self { column, value: unquote(value.trim()).to_owned() }),
        }
    }
}

fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.filter(|part| !part.trim().is_empty())
}

fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Result<Vec<(Field, Source)>, String> {
        text.parse::<Map>().map(|map| map.fields)
    }

    #[test]
    fn map_accepts_headings_numbers_and_constants() {
        let read = map(r#"from=src, to=3,at=Start Time,agent==sales-bot,status="completed, really""#);
        let expected = vec![
            (Field::From, Source::Named("src".into())),
            (Field::To, Source::Numbered(3)),
            (Field::At, Source::Named("Start Time".into())),
            (Field::Agent, Source::Constant("sales-bot".into())),
            (Field::Status, Source::Quoted("completed, really".into())),
        ];
        assert_eq!(read, Ok(expected));
        assert_eq!(map("status=="), Ok(vec![(Field::Status, Source::Constant(String::new()))]));
        assert_eq!(map(r#"agent=="a,b""#), Ok(vec![(Field::Agent, Source::Constant("a,b".into()))]));
    }

    #[test]
    fn malformed_map_is_rejected() {
        for text in [
            "from",
            "who=src",
            "from=",
            "from=0",
            "from=src,from=dst",
            "call_id=a,call_id=b",
            "context.=a",
            "context=a",
            "context.k=a,context.k=b",
        ] {
            assert!(map(text).is_err(), "{text}");
        }
    }

    #[test]
    fn map_accepts_the_id_and_fields_of_the_context() {
        let map: Map = "call_id=uuid, context.order=3,context.a b==x,from=src".parse().unwrap();
        let details: Vec<_> = map.details().map(|(detail, source)| (detail.name(), source.clone())).collect();
        let expected = [
            ("call_id", Source::Named("uuid".into())),
            ("context.order", Source::Numbered(3)),
            ("context.a b", Source::Constant("x".into())),
        ];
        assert_eq!(details, expected.map(|(name, source)| (name.to_owned(), source)));
        let again: Map = "context.order=order".parse().unwrap();
        assert_eq!(Map::repeated_detail(&[map.clone(), again]), Some("context.order".into()));
        assert_eq!(Map::repeated_detail(&[map]), None);
    }

    #[test]
    fn only_accepts_column_and_value() {
        let only: Only = "dcontext=outbound".parse().unwrap();
        assert_eq!(only, Only { column: Source::Named("dcontext".into()), value: "outbound".into() });
        assert!("dcontext".parse::<Only>().is_err());
        assert!("=x=y".parse::<Only>().is_err());
    }
}
