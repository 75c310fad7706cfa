//! The manual pages: Markdown with fixed headings, one file per entry and language, filled from the evidence.
//!
//! INVARIANT: both languages hold the same entries, headings and named places; a test fails on a gap.

use std::collections::BTreeMap;

use parallax_model::TextPlace;

/// A language of the texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    Japanese,
}

impl Language {
    /// From a BCP 47 tag: `en` or `ja`, whatever region follows.
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "ja" => Some(Self::Japanese),
            _ => None,
        }
    }

    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }

    fn headings(self) -> [&'static str; 8] {
        match self {
            Self::English => [
                "What it means",
                "How we know",
                "What it is not",
                "Steps",
                "How to verify",
                "How to undo",
                "Ticket",
                "References",
            ],
            Self::Japanese => [
                "意味",
                "判断の根拠",
                "似ているが違うもの",
                "手順",
                "確認方法",
                "元に戻す方法",
                "依頼票",
                "参考資料",
            ],
        }
    }
}

/// One manual page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub language: Language,
    pub title: String,
    pub meaning: String,
    pub evidence: String,
    pub not_this: String,
    pub steps: String,
    pub verify: String,
    pub undo: String,
    pub ticket: String,
    pub references: String,
}

/// A manual page in both languages, as it stands in its files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pages {
    pub(crate) english: &'static str,
    pub(crate) japanese: &'static str,
}

/// The pages of an entry, by its id.
macro_rules! pages {
    ($id:literal) => {
        $crate::texts::Pages {
            english: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/texts/en/", $id, ".md")),
            japanese: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/texts/ja/", $id, ".md")),
        }
    };
}
pub(crate) use pages;

/// Pages of what is no fault.
const OTHERS: [(&str, Pages); 3] = [
    ("exo_anonymous_451_cba", pages!("exo_anonymous_451_cba")),
    ("healthy", pages!("healthy")),
    ("undetermined", pages!("undetermined")),
];

fn pages_of(id: &str) -> Option<Pages> {
    let of_fault = crate::catalogue().find(|it| it.id.0 == id).map(|it| it.pages);
    of_fault.or_else(|| OTHERS.iter().find(|(it, _)| *it == id).map(|(_, pages)| *pages))
}

/// The page of a fault, of `healthy`, `undetermined` or a note; `None`: no such entry.
pub fn text(id: &str, language: Language) -> Option<Text> {
    let pages = pages_of(id)?;
    let page = match language {
        Language::English => pages.english,
        Language::Japanese => pages.japanese,
    };
    let section = |index: usize| section(page, language.headings()[index]);
    Some(Text {
        language,
        title: page
            .lines()
            .find_map(|line| line.strip_prefix("# "))
            .unwrap_or_default()
            .trim()
            .to_owned(),
        meaning: section(0),
        evidence: section(1),
        not_this: section(2),
        steps: section(3),
        verify: section(4),
        undo: section(5),
        ticket: section(6),
        references: section(7),
    })
}

fn section(page: &str, heading: &str) -> String {
    let start = format!("## {heading}");
    page.lines()
        .skip_while(|line| line.trim_end() != start)
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

impl Text {
    /// Puts what was seen into the named places; a place without evidence gets a neutral word.
    #[must_use]
    pub fn filled(&self, places: &BTreeMap<TextPlace, String>) -> Self {
        let fill = |text: &str| fill(text, places, self.language);
        Self {
            language: self.language,
            title: fill(&self.title),
            meaning: fill(&self.meaning),
            evidence: fill(&self.evidence),
            not_this: fill(&self.not_this),
            steps: fill(&self.steps),
            verify: fill(&self.verify),
            undo: fill(&self.undo),
            ticket: fill(&self.ticket),
            references: self.references.clone(),
        }
    }
}

fn fill(text: &str, places: &BTreeMap<TextPlace, String>, language: Language) -> String {
    TextPlace::ALL.iter().fold(text.to_owned(), |text, place| {
        let value = places.get(place).map_or_else(|| neutral(*place, language), String::as_str);
        text.replace(&format!("{{{}}}", place.word()), value)
    })
}

fn neutral(place: TextPlace, language: Language) -> &'static str {
    match (language, place) {
        (Language::English, TextPlace::Published | TextPlace::Host) => "the host",
        (Language::English, TextPlace::Endpoint) => "the endpoint",
        (Language::English, TextPlace::Address) => "its address",
        (Language::English, TextPlace::Vantage) => "this vantage",
        (Language::English, TextPlace::Elsewhere) => "elsewhere",
        (Language::English, TextPlace::Account) => "the account",
        (Language::English, TextPlace::Witness) => "another account",
        (Language::Japanese, TextPlace::Published | TextPlace::Host) => "対象ホスト",
        (Language::Japanese, TextPlace::Endpoint) => "対象エンドポイント",
        (Language::Japanese, TextPlace::Address) => "そのアドレス",
        (Language::Japanese, TextPlace::Vantage) => "この観測地点",
        (Language::Japanese, TextPlace::Elsewhere) => "別の観測地点",
        (Language::Japanese, TextPlace::Account) => "対象アカウント",
        (Language::Japanese, TextPlace::Witness) => "別のアカウント",
        (Language::English | Language::Japanese, TextPlace::Seen | TextPlace::Expected) => "-",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue;

    fn parts(text: &Text) -> [&String; 9] {
        [
            &text.title,
            &text.meaning,
            &text.evidence,
            &text.not_this,
            &text.steps,
            &text.verify,
            &text.undo,
            &text.ticket,
            &text.references,
        ]
    }

    fn ids() -> impl Iterator<Item = &'static str> {
        catalogue().map(|it| it.id.0).chain(OTHERS.iter().map(|(id, _)| *id))
    }

    fn places_of(text: &Text) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for part in parts(text) {
            for piece in part.split('{').skip(1) {
                found.insert(piece.split('}').next().unwrap_or_default().to_owned());
            }
        }
        found
    }

    #[test]
    fn every_entry_is_complete_in_both_languages() {
        let known: BTreeSet<String> =
            TextPlace::ALL.iter().map(|it| it.word().to_owned()).collect();
        for id in ids() {
            let pages = [Language::English, Language::Japanese]
                .map(|it| text(id, it).unwrap_or_else(|| panic!("no page for {id}")));
            for page in &pages {
                assert!(
                    parts(page).iter().all(|part| !part.is_empty()),
                    "{id} {:?}: an empty section",
                    page.language
                );
                assert!(places_of(page).is_subset(&known), "{id}: {:?}", places_of(page));
                assert!(
                    page.steps.lines().any(|line| line.starts_with("1. ")),
                    "{id}: steps are numbered"
                );
            }
            assert_eq!(
                places_of(&pages[0]),
                places_of(&pages[1]),
                "{id}: places differ between languages"
            );
        }
    }

    #[test]
    fn no_place_is_left_open() {
        for id in ids() {
            for language in [Language::English, Language::Japanese] {
                let page = text(id, language)
                    .map_or_else(|| panic!("no page for {id}"), |it| it.filled(&BTreeMap::new()));
                assert!(places_of(&page).is_empty(), "{id}: {:?}", places_of(&page));
            }
        }
    }
}
