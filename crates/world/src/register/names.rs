//! Under which resource ids does the product know the names of a world?
//!
//! A world names what it likes; a resource id is 1 to 63 of `a-z`, `0-9` and `-`, with a letter or digit at both ends.
//! Most names are ids already and stay as they are.
//!
//! INVARIANT: two names of one kind never get the same id, and the same world always gets the same ids.

use std::collections::BTreeMap;

/// Longest id.
const ID_LENGTH_MAX: usize = 63;

/// Ids by the names that a world uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub vantages: BTreeMap<String, String>,
    pub endpoints: BTreeMap<String, String>,
    /// Account entries; entries that are forms of one account share an id.
    pub accounts: BTreeMap<String, String>,
}

/// An id for every name, in the order of the names.
pub(super) fn ids<'n>(names: impl Iterator<Item = &'n str>) -> BTreeMap<String, String> {
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for name in names {
        if ids.contains_key(name) {
            continue;
        }
        let plain = id(name);
        let mut chosen = plain.clone();
        let mut number = 2_u32;
        while ids.values().any(|it| *it == chosen) {
            let ending = format!("-{number}");
            let room = ID_LENGTH_MAX - ending.len();
            chosen =
                format!("{}{ending}", plain.get(..room).unwrap_or(&plain).trim_end_matches('-'));
            number += 1;
        }
        ids.insert(name.to_owned(), chosen);
    }
    ids
}

/// The id nearest to a name.
pub(super) fn id(name: &str) -> String {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() { it } else { '-' })
        .collect();
    let plain = plain.trim_matches('-');
    let short = plain.get(..ID_LENGTH_MAX).unwrap_or(plain).trim_end_matches('-');
    if short.is_empty() { "unnamed".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use parallax_model::VantageName;

    use super::*;

    #[test]
    fn names_become_ids_and_stay_apart() {
        let long = "v".repeat(80);
        let names =
            ["ext", "HQ DMZ", "hq-dmz", "hq_dmz", "cas-", "", "-", &long, &format!("{long}2")];
        let ids = ids(names.into_iter());
        assert_eq!(ids["ext"], "ext");
        assert_eq!(
            (ids["HQ DMZ"].as_str(), ids["hq-dmz"].as_str(), ids["hq_dmz"].as_str()),
            ("hq-dmz", "hq-dmz-2", "hq-dmz-3")
        );
        assert_eq!(ids["cas-"], "cas");
        let mut all: Vec<&String> = ids.values().collect();
        assert!(all.iter().all(|it| VantageName::new(it.as_str()).is_ok()), "{all:?}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), names.len());
    }
}
