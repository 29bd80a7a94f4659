//! Where the decided output of a job lies: a file to which entries are appended, each a length (4 bytes, little-endian)
//! and a CBOR body. It may be longer than memory, and is read entry by entry.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use chameleon_core::world::IndexEntry;

/// The longest body that is believed: the ranges of an array whose every other task failed.
const LONGEST: u32 = 1 << 30;

/// Writes entries behind the first `at` bytes, instead of whatever lies there, and returns the length. It is on disk then.
///
/// # Errors
/// Those of writing a file, and that it has lost some of its first `at` bytes.
pub fn append(path: &Path, at: u64, entries: &[IndexEntry]) -> io::Result<u64> {
    let is_new = !path.exists();
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    let length = file.metadata()?.len();
    if length < at {
        let why = format!("{} has {length} bytes of {at} that were written", path.display());
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(encoded(entry)?);
    }
    file.set_len(at)?;
    file.write_all_at(&bytes, at)?;
    file.sync_data()?;
    if let (true, Some(directory)) = (is_new, path.parent()) {
        File::open(directory)?.sync_data()?;
    }
    Ok(at + bytes.len() as u64)
}

fn encoded(entry: &IndexEntry) -> io::Result<Vec<u8>> {
    let body = minicbor::to_vec(entry).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    Ok([&length.to_le_bytes()[..], &body].concat())
}

/// Whether an index was written to its last entry.
///
/// # Errors
/// Those of reading a file.
pub fn is_whole(file: &File) -> io::Result<bool> {
    let last = encoded(&IndexEntry::Whole)?;
    let Some(at) = file.metadata()?.len().checked_sub(last.len() as u64) else { return Ok(false) };
    let mut found = vec![0; last.len()];
    file.read_exact_at(&mut found, at)?;
    Ok(found == last)
}

/// The entries of an index, in order. After an error there are none.
#[derive(Debug)]
pub struct Entries {
    file: BufReader<File>,
    is_over: bool,
}

impl Entries {
    /// Of a file, from where it stands.
    #[must_use]
    pub fn of(file: File) -> Self {
        Entries { file: BufReader::new(file), is_over: false }
    }

    /// # Errors
    /// Those of opening a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::File::open(path).map(Entries::of)
    }

    fn entry(&mut self) -> io::Result<Option<IndexEntry>> {
        let mut length = [0; 4];
        if self.file.by_ref().take(1).read(&mut length[..1])? == 0 {
            return Ok(None);
        }
        self.file.read_exact(&mut length[1..])?;
        let length = u32::from_le_bytes(length);
        if length > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an entry of {length} bytes")));
        }
        let mut body = Vec::new();
        self.file.by_ref().take(length.into()).read_to_end(&mut body)?;
        let entry = minicbor::decode(&body);
        entry.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }
}

impl Iterator for Entries {
    type Item = io::Result<IndexEntry>;

    fn next(&mut self) -> Option<io::Result<IndexEntry>> {
        if self.is_over {
            return None;
        }
        let entry = self.entry().transpose();
        self.is_over = !matches!(entry, Some(Ok(_)));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::names::StageId;

    #[test]
    fn what_is_appended_twice_is_there_once_and_what_is_cut_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let entry = |first| IndexEntry::Failed(StageId(0), vec![(first, first + 1)]);
        let read = || Entries::open(&path).unwrap().collect::<io::Result<Vec<_>>>();
        let length = append(&path, 0, &[entry(1), entry(2)]).unwrap();
        for _ in 0..2 {
            append(&path, length, &[entry(3)]).unwrap();
            assert_eq!(read().unwrap(), [entry(1), entry(2), entry(3)]);
        }
        assert_eq!(append(&path, 1 << 20, &[]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let is_whole = || is_whole(&File::open(&path).unwrap()).unwrap();
        assert!(!is_whole(), "a part");
        let end = fs::metadata(&path).unwrap().len();
        append(&path, end, &[IndexEntry::Whole]).unwrap();
        assert!(is_whole());
        append(&path, end, &[]).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let boundary = cut == length as usize || cut == length as usize / 2;
            assert_eq!(read().is_ok(), boundary, "cut at {cut} of {}", whole.len());
        }
        fs::write(&path, b"\xff\xff\xff\xff and more").unwrap();
        assert!(read().is_err());
    }
}
