//! BSON written byte by byte, for what no driver writes.

use bson::RawDocumentBuf;

/// A document under construction.
#[derive(Clone, Default)]
pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    /// An element of any type, with its value's bytes.
    pub(super) fn element(mut self, kind: u8, name: &[u8], value: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend(name);
        self.0.push(0);
        self.0.extend(value);
        self
    }

    pub(super) fn text(self, kind: u8, name: &[u8], text: &[u8]) -> Self {
        self.element(kind, name, &string(text))
    }

    pub(super) fn binary(self, name: &[u8], subtype: u8, bytes: &[u8]) -> Self {
        let value = [&length(bytes.len())[..], &[subtype], bytes].concat();
        self.element(5, name, &value)
    }

    pub(super) fn double(self, name: &[u8], bits: u64) -> Self {
        self.element(1, name, &bits.to_le_bytes())
    }

    pub(super) fn int(self, name: &[u8], number: i32) -> Self {
        self.element(0x10, name, &number.to_le_bytes())
    }

    pub(super) fn long(self, name: &[u8], number: i64) -> Self {
        self.element(0x12, name, &number.to_le_bytes())
    }

    pub(super) fn date(self, name: &[u8], millis: i64) -> Self {
        self.element(9, name, &millis.to_le_bytes())
    }

    pub(super) fn timestamp(self, name: &[u8], time: u32, increment: u32) -> Self {
        self.element(0x11, name, &[increment.to_le_bytes(), time.to_le_bytes()].concat())
    }

    /// Sixteen bytes of a decimal, low half first.
    pub(super) fn decimal(self, name: &[u8], high: u64, low: u64) -> Self {
        self.element(0x13, name, &[low.to_le_bytes(), high.to_le_bytes()].concat())
    }

    pub(super) fn regex(self, name: &[u8], pattern: &[u8], options: &[u8]) -> Self {
        self.element(0x0b, name, &[pattern, &[0], options, &[0]].concat())
    }

    pub(super) fn document(self, name: &[u8], inner: Self) -> Self {
        self.element(3, name, &inner.end())
    }

    pub(super) fn array(self, name: &[u8], inner: Self) -> Self {
        self.element(4, name, &inner.end())
    }

    pub(super) fn pointer(self, name: &[u8], namespace: &[u8], id: [u8; 12]) -> Self {
        self.element(0x0c, name, &[&string(namespace)[..], &id].concat())
    }

    pub(super) fn scoped_code(self, name: &[u8], code: &[u8], scope: Self) -> Self {
        let parts = [string(code), scope.end()].concat();
        let value = [&length(parts.len() + 4)[..], &parts].concat();
        self.element(0x0f, name, &value)
    }

    fn end(self) -> Vec<u8> {
        [&length(self.0.len() + 5)[..], &self.0, &[0]].concat()
    }

    pub(super) fn build(self) -> RawDocumentBuf {
        RawDocumentBuf::from_bytes(self.end()).expect("the length is right")
    }
}

fn string(text: &[u8]) -> Vec<u8> {
    [&length(text.len() + 1)[..], text, &[0]].concat()
}

fn length(length: usize) -> [u8; 4] {
    i32::try_from(length).expect("a test's values are short").to_le_bytes()
}
