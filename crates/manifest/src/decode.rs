//! Bytes to text.

/// A file's text, with what is wrong with its bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The text without a byte order mark; what is no character is U+FFFD.
    pub text: String,
    /// Offsets in `text` of bytes that are no character.
    pub invalid: Vec<usize>,
}

/// Decodes UTF-8, or UTF-16 with a byte order mark, as kubectl does.
pub fn decode(bytes: Vec<u8>) -> Decoded {
    match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: Vec<u8>) -> Decoded {
    let (mut text, invalid) = match String::from_utf8(bytes) {
        Ok(text) => (text, Vec::new()),
        Err(error) => {
            let mut text = String::new();
            let mut invalid = Vec::new();
            for chunk in error.as_bytes().utf8_chunks() {
                text.push_str(chunk.valid());
                if !chunk.invalid().is_empty() {
                    invalid.push(text.len());
                    text.push(char::REPLACEMENT_CHARACTER);
                }
            }
            (text, invalid)
        }
    };
    if text.starts_with(BOM) {
        text.drain(..BOM.len_utf8());
        let invalid = invalid.into_iter().map(|i| i - BOM.len_utf8()).collect();
        return Decoded { text, invalid };
    }
    Decoded { text, invalid }
}

pub(crate) const BOM: char = '\u{feff}';

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Decoded {
    let mut decoded = Decoded::default();
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    for c in char::decode_utf16(units) {
        if c.is_err() {
            decoded.invalid.push(decoded.text.len());
        }
        decoded.text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    if bytes.len() % 2 == 1 {
        decoded.invalid.push(decoded.text.len());
        decoded.text.push(char::REPLACEMENT_CHARACTER);
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        decode(bytes.to_vec()).text
    }

    #[test]
    fn byte_order_marks_are_taken_off() {
        assert_eq!(text(b"\xEF\xBB\xBFa: 1"), "a: 1");
        assert_eq!(text(b"\xFF\xFEa\0:\0"), "a:");
        assert_eq!(text(b"\xFE\xFF\0a\0:"), "a:");
    }

    #[test]
    fn bytes_that_are_no_character_are_located() {
        let decoded = decode(b"a: \xC3(\nb: \xFF".to_vec());
        assert_eq!(decoded.text, "a: \u{fffd}(\nb: \u{fffd}");
        assert_eq!(decoded.invalid, [3, 11]);
        assert_eq!(decode(b"\xFF\xFEa\0:".to_vec()).invalid, [1]);
        assert_eq!(decode(b"\xEF\xBB\xBF\xFF".to_vec()).invalid, [0]);
    }
}
