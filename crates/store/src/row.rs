//! Rows as structs: each field is the column of its name. The driver's own derive would bring its whole macro tree.

/// Declares a struct and reads it from a row, column by column.
macro_rules! row {
    ($(#[$doc:meta])* $visible:vis struct $name:ident {
        $($field_visible:vis $field:ident: $type:ty,)+
    }) => {
        $(#[$doc])*
        $visible struct $name {
            $($field_visible $field: $type,)+
        }

        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $name {
            fn from_row(row: &sqlx::sqlite::SqliteRow) -> Result<Self, sqlx::Error> {
                use sqlx::Row as _;
                Ok(Self { $($field: row.try_get(stringify!($field))?,)+ })
            }
        }
    };
}

pub(crate) use row;
