//! Replies as they are sent, in both versions of the protocol, and requests as a client sends them (RESP-REPLY).
//!
//! An [`Out`] appends to bytes that belong to somebody else, so that a reply is written where it will be sent from. An aggregate is
//! written as its head; who writes it then writes as many elements as it said.
//!
//! No line end can get into a line: in a simple string or an error each CR and LF becomes a space.

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2, which every connection begins with.
    #[default]
    Two,
    /// RESP3, once the client asked for it.
    Three,
}

/// Where the replies to one client are written.
#[derive(Debug)]
pub struct Out<'a> {
    version: Version,
    bytes: &'a mut Vec<u8>,
}

impl<'a> Out<'a> {
    /// Replies of this version, behind these bytes.
    pub fn new(version: Version, bytes: &'a mut Vec<u8>) -> Out<'a> {
        Out { version, bytes }
    }

    /// The version that is written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How many bytes stand there, of this reply and before it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing stands there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A reply that was encoded before, in this version.
    pub fn encoded(&mut self, reply: &[u8]) {
        self.bytes.extend_from_slice(reply);
    }

    /// A simple string.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `OK`.
    pub fn ok(&mut self) {
        self.encoded(b"+OK\r\n");
    }

    /// An error: its code in capitals, a space and a sentence.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text.as_bytes());
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        self.bytes.push(b':');
        if number < 0 {
            self.bytes.push(b'-');
        }
        put_digits(self.bytes, number.unsigned_abs());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A count; one beyond what the protocol can say is said as the greatest that it can.
    pub fn count(&mut self, count: impl TryInto<i64>) {
        self.integer(count.try_into().unwrap_or(i64::MAX));
    }

    /// Bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        put_bulk(self.bytes, bytes);
    }

    /// Bytes, or null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Null in the place of bytes.
    pub fn null(&mut self) {
        self.either(b"$-1\r\n", b"_\r\n");
    }

    /// Null in the place of an array.
    pub fn null_array(&mut self) {
        self.either(b"*-1\r\n", b"_\r\n");
    }

    /// The head of an array.
    pub fn array(&mut self, elements: usize) {
        put_head(self.bytes, b'*', elements);
    }

    /// The head of a map; each pair is two elements, the key first.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Two => self.array(pairs.saturating_mul(2)),
            Version::Three => put_head(self.bytes, b'%', pairs),
        }
    }

    /// The head of a set.
    pub fn set(&mut self, elements: usize) {
        self.aggregate(b'~', elements);
    }

    /// The head of something that no request asked for.
    pub fn push(&mut self, elements: usize) {
        self.aggregate(b'>', elements);
    }

    /// A truth: 1 or 0 in RESP2.
    pub fn boolean(&mut self, truth: bool) {
        match self.version {
            Version::Two => self.integer(i64::from(truth)),
            Version::Three => self.encoded(if truth { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// A number with a fraction, in the fewest digits that mean it; bytes in RESP2.
    pub fn double(&mut self, number: f64) {
        let text = match number {
            number if number.is_nan() => "nan".to_owned(),
            number => number.to_string(),
        };
        match self.version {
            Version::Two => self.bulk(text.as_bytes()),
            Version::Three => self.line(b',', text.as_bytes()),
        }
    }

    /// Text to be shown as it is; bytes in RESP2.
    pub fn verbatim(&mut self, text: &str) {
        const FORMAT: &[u8] = b"txt:";
        match self.version {
            Version::Two => self.bulk(text.as_bytes()),
            Version::Three => {
                put_head(self.bytes, b'=', text.len().saturating_add(FORMAT.len()));
                self.bytes.extend_from_slice(FORMAT);
                self.bytes.extend_from_slice(text.as_bytes());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    fn either(&mut self, two: &[u8], three: &[u8]) {
        self.encoded(match self.version {
            Version::Two => two,
            Version::Three => three,
        });
    }

    fn aggregate(&mut self, kind: u8, elements: usize) {
        match self.version {
            Version::Two => self.array(elements),
            Version::Three => put_head(self.bytes, kind, elements),
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        put_line(self.bytes, kind, text);
    }
}

/// Appends a request, as the array of bulk strings that servers expect.
pub fn encode_request<A: AsRef<[u8]>>(arguments: &[A], bytes: &mut Vec<u8>) {
    put_head(bytes, b'*', arguments.len());
    arguments.iter().for_each(|argument| put_bulk(bytes, argument.as_ref()));
}

/// A kind and a number, as a line.
pub(super) fn put_head(bytes: &mut Vec<u8>, kind: u8, number: usize) {
    bytes.push(kind);
    put_digits(bytes, u64::try_from(number).unwrap_or(u64::MAX));
    bytes.extend_from_slice(b"\r\n");
}

/// A kind and a text, as a line; a line end within it becomes a space.
pub(super) fn put_line(bytes: &mut Vec<u8>, kind: u8, text: &[u8]) {
    bytes.push(kind);
    bytes.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    bytes.extend_from_slice(b"\r\n");
}

/// A bulk string.
pub(super) fn put_bulk(bytes: &mut Vec<u8>, bulk: &[u8]) {
    put_head(bytes, b'$', bulk.len());
    bytes.extend_from_slice(bulk);
    bytes.extend_from_slice(b"\r\n");
}

/// A number in decimal. Each reply has one, so it goes without the formatter.
fn put_digits(bytes: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut used = 0_usize;
    for (digit, place) in digits.iter_mut().rev().zip(1..) {
        *digit = b'0'.saturating_add(u8::try_from(number % 10).unwrap_or_default());
        used = place;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    bytes.extend(digits.iter().skip(digits.len().saturating_sub(used)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: Version, write: impl Fn(&mut Out<'_>)) -> String {
        let mut bytes = Vec::new();
        write(&mut Out::new(version, &mut bytes));
        String::from_utf8(bytes).unwrap()
    }

    fn both(write: impl Fn(&mut Out<'_>)) -> [String; 2] {
        [written(Version::Two, &write), written(Version::Three, &write)]
    }

    #[test]
    fn what_both_versions_have_is_the_same_in_both_resp_reply() {
        let same = |write: &dyn Fn(&mut Out<'_>), expected: &str| assert_eq!(both(write), [expected, expected]);
        same(&|out| out.ok(), "+OK\r\n");
        same(&|out| out.simple("a\r\nb"), "+a  b\r\n");
        same(&|out| out.error("ERR a\nb"), "-ERR a b\r\n");
        same(&|out| out.bulk(b""), "$0\r\n\r\n");
        same(&|out| out.bulk_or_null(Some(b"a\r\n")), "$3\r\na\r\n\r\n");
        same(&|out| out.array(3), "*3\r\n");
        same(&|out| out.encoded(b"+as it is\r\n"), "+as it is\r\n");
        for number in [0, 7, 10, -1, i64::MAX, i64::MIN] {
            same(&|out| out.integer(number), &format!(":{number}\r\n"));
        }
        same(&|out| out.count(u64::MAX), ":9223372036854775807\r\n");
    }

    #[test]
    fn what_resp2_lacks_is_said_with_what_it_has_resp_reply() {
        let differ = |write: &dyn Fn(&mut Out<'_>), two: &str, three: &str| assert_eq!(both(write), [two, three]);
        differ(&|out| out.null(), "$-1\r\n", "_\r\n");
        differ(&|out| out.bulk_or_null(None), "$-1\r\n", "_\r\n");
        differ(&|out| out.null_array(), "*-1\r\n", "_\r\n");
        differ(&|out| out.map(2), "*4\r\n", "%2\r\n");
        differ(&|out| out.set(2), "*2\r\n", "~2\r\n");
        differ(&|out| out.push(2), "*2\r\n", ">2\r\n");
        differ(&|out| out.boolean(true), ":1\r\n", "#t\r\n");
        differ(&|out| out.boolean(false), ":0\r\n", "#f\r\n");
        differ(&|out| out.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        differ(&|out| out.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        differ(&|out| out.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
        differ(&|out| out.verbatim("a\nb"), "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n");
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings_resp_request() {
        let mut bytes = Vec::new();
        encode_request(&["GET", "k"], &mut bytes);
        encode_request::<&[u8]>(&[&[b'v'; 12], b""], &mut bytes);
        assert_eq!(bytes, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$12\r\nvvvvvvvvvvvv\r\n$0\r\n\r\n");
    }
}
