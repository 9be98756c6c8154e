//! Encoding of values.

/// Appends values to a message.
///
/// Lengths are 16 or 32 bits in the classic encoding, and variable in the flexible one (KIP-482).
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Writer {
    pub(crate) fn new(flexible: bool) -> Self {
        Self {
            bytes: Vec::new(),
            flexible,
        }
    }

    /// The message.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Seven bits per byte, the lowest first.
    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
        self.bytes.push(value as u8);
    }

    /// The length of something; `None` is null.
    fn length(&mut self, length: Option<usize>, bits: Bits) {
        // A message of ours is far smaller than 2 GiB. A longer one would exceed the broker's
        // limit in any case.
        let length = length.map(|length| i32::try_from(length).unwrap_or(i32::MAX));
        if self.flexible {
            self.varint(length.map_or(0, |length| length.unsigned_abs() + 1));
        } else {
            let length = length.unwrap_or(-1);
            match bits {
                Bits::Sixteen => self.i16(i16::try_from(length).unwrap_or(i16::MAX)),
                Bits::ThirtyTwo => self.i32(length),
            }
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.nullable_string(Some(text));
    }

    /// A text, which the classic encoding limits to 32,767 bytes. A longer one is cut.
    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        let text = text.map(|text| {
            let max = if self.flexible {
                text.len()
            } else {
                MAX_CLASSIC
            };
            &text[..text.floor_char_boundary(max)]
        });
        self.length(text.map(str::len), Bits::Sixteen);
        self.bytes
            .extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.length(Some(bytes.len()), Bits::ThirtyTwo);
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn null_bytes(&mut self) {
        self.length(None, Bits::ThirtyTwo);
    }

    pub(crate) fn array<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.length(Some(items.len()), Bits::ThirtyTwo);
        for item in items {
            write(self, item);
        }
    }

    pub(crate) fn null_array(&mut self) {
        self.length(None, Bits::ThirtyTwo);
    }

    /// The end of a struct: no tagged fields.
    pub(crate) fn tags(&mut self) {
        if self.flexible {
            self.varint(0);
        }
    }
}

/// The longest text of the classic encoding, in bytes.
const MAX_CLASSIC: usize = i16::MAX as usize;

/// The size of a length in the classic encoding.
#[derive(Clone, Copy)]
enum Bits {
    Sixteen,
    ThirtyTwo,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, &[0])]
    #[case(127, &[0x7f])]
    #[case(128, &[0x80, 1])]
    #[case(300, &[0xac, 2])]
    #[case(u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f])]
    fn varint_has_seven_bits_per_byte(#[case] value: u32, #[case] expected: &[u8]) {
        let mut writer = Writer::new(true);
        writer.varint(value);
        assert_eq!(writer.finish(), expected);
    }

    #[rstest]
    #[case(false, Some("ab"), &[0, 2, b'a', b'b'])]
    #[case(false, None, &[0xff, 0xff])]
    #[case(true, Some("ab"), &[3, b'a', b'b'])]
    #[case(true, Some(""), &[1])]
    #[case(true, None, &[0])]
    fn text_has_a_length(
        #[case] flexible: bool,
        #[case] text: Option<&str>,
        #[case] expected: &[u8],
    ) {
        let mut writer = Writer::new(flexible);
        writer.nullable_string(text);
        assert_eq!(writer.finish(), expected);
    }

    #[test]
    fn classic_text_is_cut_at_its_longest_length() {
        let mut writer = Writer::new(false);
        writer.string(&"é".repeat(20_000));
        assert_eq!(writer.finish().len(), 2 + MAX_CLASSIC - 1);
    }
}
