//! Decompresses gzip and zstd while a file is read.

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};

/// The most memory for the window of zstd. `zstd -20` uses so much; `--ultra -22` and `--long` use more.
const LARGEST_WINDOW: u64 = 32 * 1024 * 1024;

/// The error of zstd data that cannot be decompressed.
const CUT: &str = "its zstd data is damaged or cut short";

/// The compression of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Returns the compression of a file that begins with these bytes, if it is compressed.
    pub(in crate::import) fn of(begin: &[u8]) -> Option<Self> {
        match begin {
            [0x1F, 0x8B, 8, ..] => Some(Self::Gzip),
            // The second form begins a frame that is skipped.
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns a reader of the decompressed bytes. Its memory is bounded.
    pub(in crate::import) fn reader(self, source: Box<dyn Read>) -> Box<dyn Read> {
        let source = BufReader::new(source);
        match self {
            Self::Gzip => Box::new(Members(MultiGzDecoder::new(source))),
            Self::Zstd => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(LARGEST_WINDOW);
                Box::new(Frames { source, decoder, is_open: false })
            }
        }
    }
}

/// Reads the members of a gzip file, one after another.
struct Members<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        self.0.read(into).map_err(|error| match error.kind() {
            InvalidData | InvalidInput | UnexpectedEof => {
                io::Error::new(InvalidData, "its gzip data is damaged or cut short")
            }
            _ => error,
        })
    }
}

/// Reads the frames of a zstd file, one after another.
struct Frames<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    /// Whether the decoder is in a frame.
    is_open: bool,
}

impl<R: Read> Frames<R> {
    /// Begins the next frame. Returns whether there is one.
    fn open(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                    if skipped < length.into() {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, CUT));
                    }
                }
                Err(error) => return Err(damaged(&error)),
            }
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_open && !self.open()? {
                return Ok(0);
            }
            self.is_open = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| damaged(&error))?;
            }
            let got = self.decoder.read(into)?;
            if got > 0 || into.is_empty() {
                return Ok(got);
            }
            let expected = self.decoder.get_checksum_from_data();
            if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "its zstd checksum does not match: the data is damaged",
                ));
            }
            self.is_open = false;
        }
    }
}

/// Returns the error for people. The decoder's own text is for programmers.
fn damaged(error: &FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(this) = cause {
        // The file could not be read, so nothing is known about its data.
        if let Some(read) = this.downcast_ref::<io::Error>()
            && read.kind() != io::ErrorKind::UnexpectedEof
        {
            return io::Error::new(read.kind(), read.to_string());
        }
        cause = this.source();
    }
    let what = match error {
        FrameDecoderError::WindowSizeTooBig { .. } => {
            "its zstd window is larger than 32 MiB: decompress it first, with `zstd -d --long=31`"
        }
        _ => CUT,
    };
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::{Cursor, Write};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).expect("written");
        encoder.finish().expect("written")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    fn inflate(compressed: Vec<u8>) -> io::Result<Vec<u8>> {
        let compression = Compression::of(&compressed).expect("compressed");
        let mut text = Vec::new();
        compression.reader(Box::new(Cursor::new(compressed))).read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn members_and_frames_are_read_one_after_another() {
        let text = b"+1,+2,3\n".repeat(100_000);
        for compress in [gzip, zstd] {
            assert_eq!(inflate(compress(&text)).expect("readable"), text);
            let two = [compress(&text), compress(b""), compress(b"end\n")].concat();
            assert_eq!(inflate(two).expect("readable"), [&text[..], b"end\n"].concat());
        }
        let skipped = [b"\x53\x2A\x4D\x18\x03\0\0\0abc".to_vec(), zstd(b"a\n")].concat();
        assert_eq!(inflate(skipped).expect("readable"), b"a\n");
    }

    #[test]
    fn file_that_is_cut_or_damaged_is_an_error() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for compress in [gzip, zstd] {
            let whole = compress(&text);
            for length in [whole.len() - 1, whole.len() / 2, 10] {
                let error = inflate(whole[..length].to_vec()).unwrap_err().to_string();
                assert!(error.ends_with(" data is damaged or cut short"), "{length}: {error}");
            }
            let mut damaged = whole.clone();
            // The checksum is at the end.
            let last = damaged.len() - if whole[0] == 0x1F { 8 } else { 1 };
            damaged[last] ^= 1;
            assert!(inflate(damaged).is_err());
            assert!(inflate([whole, b"garbage".to_vec()].concat()).is_err());
        }
        assert!(inflate(b"\x53\x2A\x4D\x18\x03\0\0\0ab".to_vec()).is_err());
    }

    #[test]
    fn window_that_needs_too_much_memory_is_an_error() {
        // A frame of a window of 64 MiB: exponent 16, mantissa 0.
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 16 << 3, 1, 0, 0];
        let error = inflate(frame.to_vec()).unwrap_err().to_string();
        assert!(error.starts_with("its zstd window is larger than 32 MiB"), "{error}");
        let fits = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 15 << 3, 1, 0, 0];
        assert_eq!(inflate(fits.to_vec()).expect("readable"), b"");
    }
}
