//! Pages of a list: how many, from where, and the opaque token for the next one.
//!
//! A token holds the key of the last row shown, not a position, so that rows inserted meanwhile neither hide nor repeat one.
//!
//! INVARIANT: a token works only for the list and the filter it was made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::StoreError;

/// Rows in a page when nothing is said (AIP-158).
pub const PAGE_SIZE_DEFAULT: u32 = 50;
/// Rows in a page at the most; more is asked for in vain.
pub const PAGE_SIZE_MAX: u32 = 1000;
const TOKEN_BYTES_MAX: usize = 1024;

/// Which page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows; 0: [`PAGE_SIZE_DEFAULT`]; more than [`PAGE_SIZE_MAX`]: that many.
    pub size: u32,
    /// Of the page before; empty: the first page.
    pub token: String,
}

/// One page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Empty: that was all.
    pub next_token: String,
}

impl PageRequest {
    pub(crate) fn rows(&self) -> u32 {
        match self.size {
            0 => PAGE_SIZE_DEFAULT,
            size => size.min(PAGE_SIZE_MAX),
        }
    }

    /// The key after which this page begins; `None`: at the beginning.
    pub(crate) fn after<const N: usize>(
        &self,
        list: &str,
        operation: &'static str,
    ) -> Result<Option<[String; N]>, StoreError> {
        if self.token.is_empty() {
            return Ok(None);
        }
        let refused = || StoreError::PageToken { operation };
        if self.token.len() > TOKEN_BYTES_MAX {
            return Err(refused());
        }
        let bytes = URL_SAFE_NO_PAD.decode(&self.token).map_err(|_| refused())?;
        let text = String::from_utf8(bytes).map_err(|_| refused())?;
        let mut parts = text.split('\n').map(str::to_owned);
        if parts.next().as_deref() != Some(list) {
            return Err(refused());
        }
        let key: Vec<String> = parts.collect();
        key.try_into().map(Some).map_err(|_| refused())
    }
}

/// Makes a page of rows of which one more than asked for was read; `key` is what a row is ordered by.
pub(crate) fn page<R, T, const N: usize>(
    mut rows: Vec<R>,
    request: &PageRequest,
    list: &str,
    key: impl Fn(&R) -> [String; N],
    item: impl FnMut(R) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let size = request.rows() as usize;
    let has_more = rows.len() > size;
    rows.truncate(size);
    let next_token = match rows.last() {
        Some(final_row) if has_more => {
            URL_SAFE_NO_PAD.encode(format!("{list}\n{}", key(final_row).join("\n")))
        }
        Some(_) | None => String::new(),
    };
    let items = rows.into_iter().map(item).collect::<Result<_, _>>()?;
    Ok(Page { items, next_token })
}
