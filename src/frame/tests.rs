use super::*;

#[test]
fn a_fetch_survives_encoding() {
    let fetch = Frame::Fetch(Fetch { from: Position(3), upto: Position(9) });
    let mut bytes = Vec::new();
    fetch.encode(&mut bytes);
    assert_eq!(Frame::decode(&bytes), Ok(Some((fetch, bytes.len()))));
}
