//! The pickle's bytes, read front to back without ever leaving them.

/// A position in the stream; every read is checked against its end.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let taken = self.position.checked_add(length).and_then(|end| self.bytes.get(self.position..end));
        let taken = taken.ok_or_else(|| {
            format!("the pickle ends early ({length} bytes wanted, {} left)", self.bytes.len() - self.position)
        })?;
        self.position += length;
        Ok(taken)
    }

    pub(super) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], String> {
        let mut array = [0; LENGTH];
        array.copy_from_slice(self.take(LENGTH)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length field of 1, 4 or 8 bytes and as many bytes as it says.
    pub(super) fn counted<const LENGTH: usize>(&mut self) -> Result<&'a [u8], String> {
        let mut length = [0; 8];
        length[..LENGTH].copy_from_slice(&self.array::<LENGTH>()?);
        let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| "a length overflows")?;
        self.take(length)
    }

    /// The same as text. Python 2 texts are bytes, of which only UTF-8 is accepted.
    pub(super) fn text<const LENGTH: usize>(&mut self) -> Result<String, String> {
        utf8(self.counted::<LENGTH>()?)
    }

    /// Up to the next line feed, which is consumed.
    pub(super) fn line(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("the pickle ends inside a line")?;
        let line = utf8(self.take(length)?)?;
        self.position += 1;
        Ok(line)
    }

    /// A little-endian two's complement integer of any length up to 128 bits.
    pub(super) fn long(&mut self, length: usize) -> Result<i128, String> {
        let bytes = self.take(length)?;
        if length > 16 {
            return Err("an integer of more than 128 bits".to_owned());
        }
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut extended = [if negative { 0xff } else { 0 }; 16];
        extended[..length].copy_from_slice(bytes);
        Ok(i128::from_le_bytes(extended))
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a text is not UTF-8".to_owned())
}
