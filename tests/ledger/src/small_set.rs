//! Which of a handful of numbered things are present? A set of up to eight small numbers in one byte.
//!
//! States are hashed and copied millions of times, so sets of nonces, results and secret versions
//! are bit masks. Deliberately absent: anything a `HashSet` has that the model does not use.

use std::fmt;

/// A set of numbers below 8.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SmallSet(u8);

impl SmallSet {
    pub const EMPTY: Self = Self(0);

    pub fn contains(self, member: u8) -> bool {
        self.0 & (1 << member) != 0
    }

    pub fn insert(&mut self, member: u8) {
        self.0 |= 1 << member;
    }

    pub fn remove(&mut self, member: u8) {
        self.0 &= !(1 << member);
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |&member| self.contains(member))
    }
}

impl fmt::Debug for SmallSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_not_taken_out() {
        let mut set = SmallSet::EMPTY;
        set.insert(0);
        set.insert(5);
        set.insert(7);
        set.remove(5);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 7]);
        assert!(!set.is_empty() && SmallSet::EMPTY.is_empty());
    }
}
