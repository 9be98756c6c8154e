//! Decoding of values.

/// Why a message could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The message ends within a value.
    #[error("it ends within a value")]
    Truncated,
    /// A length is negative or greater than the message.
    #[error("it contains the length {0}, more than the bytes that are left")]
    Length(i64),
    /// A value that must be present is null.
    #[error("it contains null for a value that is not optional")]
    Null,
    /// A text is not UTF-8.
    #[error("it contains a text that is not UTF-8")]
    NotUtf8,
    /// A number of variable length has more than 32 bits.
    #[error("it contains a number with too many bits")]
    Varint,
    /// Bytes follow the end of the message.
    #[error("{0} bytes follow its end")]
    Trailing(usize),
    /// A version that the decoder does not know.
    #[error("it has version {0}")]
    Version(i16),
    /// The response belongs to another request.
    #[error("it has the correlation id {0} of another request")]
    CorrelationId(i32),
}

/// Reads values from a message.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self {
            rest: bytes,
            flexible,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Fails if bytes are left.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Malformed::Trailing(left)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.i8()? != 0)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Malformed> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Malformed> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// Skips a UUID.
    pub(crate) fn uuid(&mut self) -> Result<(), Malformed> {
        self.take(16).map(drop)
    }

    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Malformed::Varint);
            }
        }
        Err(Malformed::Varint)
    }

    /// A length, which is at most the number of bytes that are left: no element is shorter than one
    /// byte. `None` is null.
    fn length(&mut self, sixteen_bits: bool) -> Result<Option<usize>, Malformed> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if sixteen_bits {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        if length == -1 {
            return Ok(None);
        }
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(Some(length)),
            Ok(_) | Err(_) => Err(Malformed::Length(length)),
        }
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<String>, Malformed> {
        let Some(length) = self.length(true)? else {
            return Ok(None);
        };
        let text = str::from_utf8(self.take(length)?).map_err(|_| Malformed::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }

    pub(crate) fn string(&mut self) -> Result<String, Malformed> {
        self.nullable_string()?.ok_or(Malformed::Null)
    }

    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.length(false)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.nullable_bytes()?.ok_or(Malformed::Null)
    }

    /// Reads an array. Null counts as empty. The vector grows while elements are read, and not in
    /// advance to the length that the message announces.
    pub(crate) fn array<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.length(false)?.unwrap_or_default();
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Skips the tagged fields at the end of a struct.
    pub(crate) fn tags(&mut self) -> Result<(), Malformed> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let _tag = self.varint()?;
            let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
            self.take(length)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(false, &[0x7f, 0xff, 0xff, 0xff], Malformed::Length(i64::from(i32::MAX)))]
    #[case(false, &[0xff, 0xff, 0xff, 0xfe], Malformed::Length(-2))]
    #[case(true, &[0xff, 0xff, 0xff, 0xff, 0x0f], Malformed::Length(i64::from(u32::MAX) - 1))]
    #[case(true, &[0xff, 0xff, 0xff, 0xff, 0x1f], Malformed::Varint)]
    #[case(true, &[0xff, 0xff, 0xff, 0xff, 0xff, 0], Malformed::Varint)]
    #[case(true, &[0xff], Malformed::Truncated)]
    #[case(false, &[0, 0, 0], Malformed::Truncated)]
    #[case(false, &[0, 0, 0, 2, 0, 1], Malformed::Truncated)]
    fn wrong_length_is_an_error_before_it_is_allocated(
        #[case] flexible: bool,
        #[case] bytes: &[u8],
        #[case] expected: Malformed,
    ) {
        let mut reader = Reader::new(bytes, flexible);
        assert_eq!(reader.array(Reader::i16), Err(expected));
    }

    #[rstest]
    #[case(&[0xff, 0xff], Ok(None))]
    #[case(&[0, 0], Ok(Some("")))]
    #[case(&[0, 1, b'a'], Ok(Some("a")))]
    #[case(&[0, 1, 0xff], Err(Malformed::NotUtf8))]
    #[case(&[0, 2, b'a'], Err(Malformed::Length(2)))]
    fn text_is_checked(#[case] bytes: &[u8], #[case] expected: Result<Option<&str>, Malformed>) {
        let mut reader = Reader::new(bytes, false);
        let read = reader.nullable_string();
        assert_eq!(read, expected.map(|text| text.map(ToOwned::to_owned)));
    }

    #[test]
    fn null_is_refused_where_a_value_is_required() {
        assert_eq!(
            Reader::new(&[0xff, 0xff], false).string(),
            Err(Malformed::Null)
        );
        assert_eq!(Reader::new(&[0], true).bytes(), Err(Malformed::Null));
        assert_eq!(Reader::new(&[0], true).array(Reader::i8), Ok(Vec::new()));
    }

    #[test]
    fn tagged_fields_are_skipped() {
        let mut reader = Reader::new(&[2, 0, 1, 9, 7, 2, 9, 9, 5], true);
        reader.tags().unwrap();
        assert_eq!(reader.i8(), Ok(5));
        reader.end().unwrap();
        assert_eq!(
            Reader::new(&[1, 0, 9, 1], true).tags(),
            Err(Malformed::Truncated)
        );
    }
}
