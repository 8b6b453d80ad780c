//! Compressed payloads of the primary (docs/formats.md#encodings): `__compressed__:<algorithm>:<original size>`, a newline, base64.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine as _;
use std::io::Read;

const MARK: &str = "__compressed__:";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The original bytes of a compressed payload of at most `limit` bytes; None when the text is not one.
pub(crate) fn expand(text: &str, limit: usize) -> Option<Result<Vec<u8>, String>> {
    text.strip_prefix(MARK).map(|rest| expand_marked(rest, limit))
}

fn expand_marked(rest: &str, limit: usize) -> Result<Vec<u8>, String> {
    let (head, body) = rest.split_once('\n').ok_or("compressed payload without a body")?;
    let (algorithm, size) = head.split_once(':').ok_or("compressed payload without a size")?;
    let size: usize = size.parse().map_err(|_| "compressed payload with a size that is not a number")?;
    if size > limit {
        return Err(format!("compressed payload of {size} bytes, more than the {limit} accepted"));
    }
    let packed = BASE64.decode(body.trim_end()).map_err(|_| "compressed payload that is not base64")?;
    let bytes = match algorithm {
        "lz4" => lz4_flex::block::decompress(&packed, size).map_err(|_| damaged(algorithm))?,
        "zstd" => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(packed.as_slice()).map_err(|_| damaged(algorithm))?;
            read_bounded(decoder, size, algorithm)?
        }
        "gzip" => read_bounded(flate2::read::GzDecoder::new(packed.as_slice()), size, algorithm)?,
        other => return Err(format!("compressed payload of the unknown kind `{other}`")),
    };
    if bytes.len() != size {
        return Err(format!("compressed payload of {} bytes that says {size}", bytes.len()));
    }
    Ok(bytes)
}

fn damaged(algorithm: &str) -> String {
    format!("compressed payload that {algorithm} cannot expand")
}

fn read_bounded(reader: impl Read, size: usize, algorithm: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(size.min(1 << 20));
    reader.take(size as u64 + 1).read_to_end(&mut bytes).map_err(|_| damaged(algorithm))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn marked(algorithm: &str, size: usize, packed: &[u8]) -> String {
        format!("{MARK}{algorithm}:{size}\n{}", BASE64.encode(packed))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_kind_expands() {
        let bytes = b"abc".repeat(500);
        let zstd = ruzstd::encoding::compress_to_vec(bytes.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        for (algorithm, packed) in [("lz4", lz4_flex::block::compress(&bytes)), ("gzip", gzip(&bytes)), ("zstd", zstd)]
        {
            assert_eq!(expand(&marked(algorithm, bytes.len(), &packed), 2000), Some(Ok(bytes.clone())), "{algorithm}");
        }
        assert_eq!(expand("[]", 10), None);
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        let bytes = vec![0; 100_000];
        assert!(expand(&marked("gzip", 10, &gzip(&bytes)), 1000).unwrap().is_err());
        assert!(expand(&marked("gzip", 100_001, &gzip(&bytes)), 1_000_000).unwrap().is_err());
        assert!(expand(&marked("gzip", 100_000, &gzip(&bytes)), 99_999).unwrap().is_err());
        assert!(expand(&marked("lz4", 99_999, &lz4_flex::block::compress(&bytes)), 1_000_000).unwrap().is_err());
        assert!(expand(&marked("lz4", 5, b"\xff\xff\xff"), 1_000_000).unwrap().is_err());
        assert!(expand(&marked("zstd", 5, b"nonsense"), 1_000_000).unwrap().is_err());
        assert!(expand(&marked("brotli", 5, b""), 1_000_000).unwrap().is_err());
        for text in ["", "lz4", "lz4:", "lz4:5", "lz4:-1\n", "lz4:5\n*", "lz4:99999999999999999999\n"] {
            assert!(expand(&format!("{MARK}{text}"), 1_000_000).unwrap().is_err(), "{text}");
        }
    }
}
