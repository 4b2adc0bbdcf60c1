//! The file to import: opened, decompressed, and recognized by its first bytes.

use super::compression::Compression;
use crate::import::error::ImportError;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

/// The file to import.
pub(crate) struct Source {
    pub(crate) reader: BufReader<Box<dyn Read>>,
    /// The size in bytes, if it is known. A pipe and a compressed file have no size.
    pub(crate) size: Option<u64>,
    pub(in crate::import) kind: Kind,
    /// Whether the text is that of the file. Compressed text that comes through a pipe is checked only at its end.
    pub(in crate::import) is_certain: bool,
}

/// The form of the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum Kind {
    /// Values with delimiters.
    Table,
    /// A JSON object on each line.
    JsonLines,
    /// A JSON list of objects.
    JsonList,
}

/// The largest number of bytes that decide about the kind of the file.
const BEGINNING: usize = 512;

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        if path == Path::new("-") {
            return Self::recognize(Box::new(io::stdin()), None, path);
        }
        let open = || {
            let mut file = File::open(path)?;
            let about = file.metadata()?;
            if about.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            if about.is_file() {
                check(&mut file)?;
            }
            Ok((file, about.is_file().then_some(about.len())))
        };
        let (file, size) = open().map_err(unreadable(path))?;
        Self::recognize(Box::new(file), size, path)
    }

    fn recognize(mut reader: Box<dyn Read>, mut size: Option<u64>, path: &Path) -> Result<Self, ImportError> {
        let mut begin = beginning(&mut reader).map_err(unreadable(path))?;
        let compressed = Compression::of(&begin);
        let is_certain = compressed.is_none() || size.is_some();
        if let Some(compression) = compressed {
            reader = compression.reader(Box::new(Cursor::new(begin).chain(reader)));
            begin = beginning(&mut reader).map_err(unreadable(path))?;
            size = None;
        }
        if let Some(what) = foreign(&begin, compressed.is_some()) {
            return Err(ImportError::NotRecords(what));
        }
        if begin.starts_with(BYTE_ORDER_MARK) {
            begin.drain(..BYTE_ORDER_MARK.len());
        }
        let kind = Kind::of(&begin);
        let reader: Box<dyn Read> = Box::new(Cursor::new(begin).chain(reader));
        Ok(Self { reader: BufReader::new(reader), size, kind, is_certain })
    }

    /// Returns whether the file is an export of a data directory. Only exports begin with this first line.
    pub(crate) fn is_export(&mut self, path: &Path) -> Result<bool, ImportError> {
        Ok(self.reader.fill_buf().map_err(unreadable(path))?.starts_with(EXPORT))
    }

    pub(crate) fn into_reader(self) -> BufReader<Box<dyn Read>> {
        self.reader
    }
}

impl Kind {
    fn of(begin: &[u8]) -> Self {
        let second = |rest: &[u8]| rest.trim_ascii_start().first().copied();
        match begin.trim_ascii_start() {
            [b'{', rest @ ..] if matches!(second(rest), None | Some(b'"' | b'}')) => Self::JsonLines,
            [b'[', rest @ ..] if matches!(second(rest), None | Some(b'{' | b']')) => Self::JsonList,
            _ => Self::Table,
        }
    }
}

/// The beginning of an export.
const EXPORT: &[u8] = b"{\"dialback_export\":";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a compressed file to its end, where its checksums are, and goes back to its beginning. Damaged text can look
/// like calls, so it must be known before the first call is stored.
fn check(file: &mut File) -> io::Result<()> {
    let begin = beginning(file)?;
    file.rewind()?;
    if let Some(compression) = Compression::of(&begin) {
        io::copy(&mut compression.reader(Box::new(file.try_clone()?)), &mut io::sink())?;
        file.rewind()?;
    }
    Ok(())
}

/// Reads the first bytes. A pipe may have no more than the first line yet, so nothing after it is waited for.
fn beginning(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut begin = vec![0; BEGINNING];
    let mut length = 0;
    while length < BEGINNING && !begin[..length].contains(&b'\n') {
        match reader.read(&mut begin[length..]) {
            Ok(0) => break,
            Ok(got) => length += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    begin.truncate(length);
    Ok(begin)
}

/// Returns what the file is and what to do, if it is known that it has no records.
fn foreign(begin: &[u8], is_inflated: bool) -> Option<&'static str> {
    const SPREADSHEET: &str =
        "the file is a spreadsheet or a ZIP archive: save the sheet as CSV, or unpack the archive";
    let beginnings: [(&[u8], &str); 10] = [
        (b"PK\x03\x04", SPREADSHEET),
        (b"\xD0\xCF\x11\xE0", "the file is an old Excel workbook (.xls): save the sheet as CSV"),
        (
            b"SQLite format 3\0",
            "the file is an SQLite database: write the table as CSV, for example with `sqlite3 -header -csv`",
        ),
        (b"PAR1", "the file is in Parquet format: write it as CSV"),
        (b"%PDF-", "the file is a PDF document: export the records as CSV"),
        (b"BZh", "the file is compressed with bzip2: decompress it first"),
        (b"\xFD7zXZ\0", "the file is compressed with xz: decompress it first"),
        (b"\xFF\xFE\0\0", "the file is UTF-32: convert it to UTF-8 first"),
        (b"\xFF\xFE", "the file is UTF-16: convert it to UTF-8 first"),
        (b"\xFE\xFF", "the file is UTF-16: convert it to UTF-8 first"),
    ];
    if is_inflated && Compression::of(begin).is_some() {
        return Some("the file is compressed twice: decompress it first");
    }
    let known = beginnings.into_iter().find(|(magic, _)| begin.starts_with(magic)).map(|(_, what)| what);
    let is_archive = begin.get(257..262) == Some(b"ustar");
    let wide = || match begin {
        [0, 0, 0, a, 0, 0, 0, b, ..] | [a, 0, 0, 0, b, 0, 0, 0, ..] if *a != 0 && *b != 0 => true,
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] => *a != 0 && *b != 0,
        _ => false,
    };
    known
        .or(is_archive.then_some("the file is a tar archive: unpack it first"))
        .or(wide().then_some("the file is UTF-16 or UTF-32: convert it to UTF-8 first"))
}

pub(in crate::import) fn unreadable(path: &Path) -> impl Fn(io::Error) -> ImportError {
    move |error| ImportError::Read { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_follows_from_the_first_bytes() {
        for (text, kind) in [
            ("", Kind::Table),
            ("from,to\n", Kind::Table),
            ("[from],[to]\n", Kind::Table),
            ("{from},x\n", Kind::Table),
            ("{\"from\": 1}\n", Kind::JsonLines),
            (" \n { }", Kind::JsonLines),
            ("[\n {", Kind::JsonList),
            ("[]", Kind::JsonList),
        ] {
            assert_eq!(Kind::of(text.as_bytes()), kind, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_waited_for_after_the_first_line() {
        /// Returns the first line in two parts, and panics when it is asked for more.
        struct Pipe(Vec<&'static [u8]>);
        impl Read for Pipe {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0.pop().expect("nothing more is read").read(into)
            }
        }
        assert_eq!(beginning(&mut Pipe(vec![b"to\n", b"from,"])).expect("readable"), b"from,to\n");
    }

    #[test]
    fn files_without_records_are_refused_by_name() {
        for (begin, word) in [
            (&b"PK\x03\x04\x14\0"[..], "spreadsheet"),
            (b"\xD0\xCF\x11\xE0\xA1", "Excel"),
            (b"SQLite format 3\0\x10", "SQLite"),
            (b"\xFF\xFEf\0r\0", "UTF-16"),
            (b"\xFE\xFF\0f\0r", "UTF-16"),
            (b"f\0r\0o\0", "UTF-16"),
            (b"\0f\0r\0o", "UTF-16"),
            (b"\xFF\xFE\0\0f\0\0\0", "UTF-32"),
            (b"f\0\0\0r\0\0\0", "UTF-32"),
            (b"\xFD7zXZ\0", "xz"),
        ] {
            assert!(foreign(begin, false).is_some_and(|what| what.contains(word)), "{word}");
        }
        for begin in [&b""[..], b"from,to", b"a\0,b\n", b"\xEF\xBB\xBFfrom"] {
            assert_eq!(foreign(begin, false), None);
        }
        assert!(foreign(b"\x1F\x8B\x08\0", true).is_some());
    }
}
