//! The content of a table file of the storage engine, read without the engine's database.

use lsm_tree::coding::Decode;
use lsm_tree::table::block::decoder::ParsedItem;
use lsm_tree::table::block::{BlockType, Header};
use lsm_tree::table::{Block, BlockHandle, BlockOffset, DataBlock};
use lsm_tree::{CompressionType, SeqNo};
use std::fs::File;
use std::path::Path;

/// Returns whether the engine keeps a table at this path: a number in a folder `tables`.
pub fn is_table(path: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    path.parent().and_then(name).is_some_and(|folder| folder == "tables")
        && name(path).is_some_and(|name| name.parse::<u64>().is_ok())
}

/// Why a table cannot be decoded to its end. The engine has not finished writing it, or it is damaged.
#[derive(Debug)]
pub struct Undecoded(pub String);

/// Calls `see` with the key and the value of each item of a table: every version of each key, and removals, whose value
/// is empty. `bytes` are the bytes of the file.
///
/// # Errors
/// The table is unfinished or damaged. Its complete blocks have been read.
pub fn read_items(path: &Path, bytes: &[u8], mut see: impl FnMut(&[u8], &[u8])) -> Result<(), Undecoded> {
    let mut rest = bytes;
    let mut items = 0_u64;
    while let Some(block) = next_data_block(&mut rest)? {
        for item in block.iter() {
            let item = item.materialize(&block.inner.data);
            see(&item.key.user_key, &item.value);
            items += 1;
        }
    }
    let expected = item_count(path)?;
    if items == expected { Ok(()) } else { Err(Undecoded(format!("{items} of {expected} items"))) }
}

/// Reads the next block, and returns `None` if the data has ended there: an index follows the data of a table.
fn next_data_block(rest: &mut &[u8]) -> Result<Option<DataBlock>, Undecoded> {
    let header = Header::decode_from(&mut &rest[..]).map_err(undecoded)?;
    if header.block_type != BlockType::Data {
        return Ok(None);
    }
    // A plain block begins with the kind of its first item, a small number. A text of LZ4 begins with the length of its
    // first literals, which cannot be none, in the upper half of the byte.
    let is_plain = rest.get(Header::serialized_len()).is_some_and(|byte| *byte < 0x10);
    let compression = if is_plain { CompressionType::None } else { CompressionType::Lz4 };
    Block::from_reader(rest, compression).map(|block| Some(DataBlock::new(block))).map_err(undecoded)
}

/// Returns the number of items that the table says it has.
fn item_count(path: &Path) -> Result<u64, Undecoded> {
    let mut file = File::open(path).map_err(undecoded)?;
    let reader = sfa::Reader::from_reader(&mut file).map_err(undecoded)?;
    let meta = reader.toc().section(b"meta").ok_or_else(|| Undecoded("no description".into()))?;
    let handle = BlockHandle::new(BlockOffset(meta.pos()), u32::try_from(meta.len()).expect("a small block"));
    let block = DataBlock::new(Block::from_file(&file, handle, CompressionType::None).map_err(undecoded)?);
    let count = block.point_read(b"item_count", SeqNo::MAX).ok_or_else(|| Undecoded("no item count".into()))?;
    Ok(u64::from_le_bytes(count.value[..].try_into().map_err(undecoded)?))
}

fn undecoded(error: impl std::fmt::Debug) -> Undecoded {
    Undecoded(format!("{error:?}"))
}
