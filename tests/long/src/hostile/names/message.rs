//! DNS messages as bytes (RFC 1035 section 4), right or wrong as wanted.

use std::net::IpAddr;

pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const TXT: u16 = 16;
pub(super) const AAAA: u16 = 28;
pub(super) const OPT: u16 = 41;

/// A pointer to the question's name.
pub(super) const ASKED: &[u8] = &[0xc0, 12];
/// Response, recursion desired and available.
pub(super) const RESPONSE: u16 = 0x8180;
pub(super) const TRUNCATED: u16 = 0x0200;

/// A question as it came.
pub(in super::super) struct Ask {
    pub(super) id: [u8; 2],
    /// Name, type and class.
    pub(super) question: Vec<u8>,
    pub(super) kind: u16,
    pub(super) has_edns: bool,
    /// Questions before it.
    pub(super) number: u64,
}

impl Ask {
    pub(super) fn read(bytes: &[u8], number: u64) -> Option<Self> {
        let id = *bytes.first_chunk()?;
        let rest = bytes.get(12..)?;
        let name = rest.iter().position(|byte| *byte == 0)? + 1;
        let question = rest.get(..name + 4)?.to_vec();
        let kind = u16::from_be_bytes([question[name], question[name + 1]]);
        Some(Self { id, question, kind, has_edns: bytes.get(11) == Some(&1), number })
    }

    pub(super) fn is_a(&self) -> bool {
        self.kind == A
    }

    /// A response with these sections.
    pub(super) fn reply(&self, flags: u16, answers: &[Vec<u8>]) -> Vec<u8> {
        self.sections(flags, answers, &[], &[])
    }

    pub(super) fn sections(
        &self,
        flags: u16,
        answers: &[Vec<u8>],
        authority: &[Vec<u8>],
        additional: &[Vec<u8>],
    ) -> Vec<u8> {
        let counts = [1, answers.len(), authority.len(), additional.len()];
        self.with_counts(flags, counts, &[answers, authority, additional].concat())
    }

    /// The counts of the header may lie.
    pub(super) fn with_counts(
        &self,
        flags: u16,
        counts: [usize; 4],
        records: &[Vec<u8>],
    ) -> Vec<u8> {
        let mut bytes = self.id.to_vec();
        bytes.extend(flags.to_be_bytes());
        for count in counts {
            bytes.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
        }
        bytes.extend_from_slice(&self.question);
        bytes.extend(records.concat());
        bytes
    }

    /// A response in which this family has these addresses, the other none.
    pub(super) fn addresses(&self, list: &[&str]) -> Vec<u8> {
        let records: Vec<_> = list
            .iter()
            .filter_map(|text| text.parse::<IpAddr>().ok())
            .filter(|address| address.is_ipv4() == self.is_a())
            .map(|address| record_of(ASKED, address))
            .collect();
        self.reply(RESPONSE, &records)
    }
}

/// A resource record of class IN.
pub(super) fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    record_saying(owner, kind, 1, ttl, length, data)
}

/// A resource record whose length may lie.
pub(super) fn record_saying(
    owner: &[u8],
    kind: u16,
    class: u16,
    ttl: u32,
    length: u16,
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(class.to_be_bytes());
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

pub(super) fn record_of(owner: &[u8], address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => record(owner, A, 60, &address.octets()),
        IpAddr::V6(address) => record(owner, AAAA, 60, &address.octets()),
    }
}

pub(super) fn alias(owner: &[u8], target: &[u8]) -> Vec<u8> {
    record(owner, CNAME, 60, target)
}

/// A name on the wire.
pub(super) fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
