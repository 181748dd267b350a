//! Text in columns.

use std::fmt;

/// Rows whose columns are as wide as their widest entry, with two spaces in between; the last column is not padded. A row with
/// one entry only spans all columns.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Columns {
    /// Columns this far from the left.
    pub(crate) const fn indented(indent: usize) -> Self {
        Self { rows: Vec::new(), indent }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, row: [&dyn fmt::Display; N]) {
        self.rows.push(row.map(ToString::to_string).to_vec());
    }

    /// Adds a line that goes across the columns.
    pub(crate) fn free(&mut self, line: String) {
        self.rows.push(vec![line]);
    }

    /// Whether there is no row.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let entries = self.rows.iter().filter(|row| row.len() > 1).filter_map(|row| row.get(column));
            entries.map(|entry| width(entry)).max().unwrap_or(0)
        };
        (0..columns).map(widest).collect()
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let pad = |(entry, wanted): (&String, &usize)| {
                format!("{entry}{:pad$}", "", pad = wanted.saturating_sub(width(entry)))
            };
            let cells: Vec<String> = row.iter().zip(&widths).map(pad).collect();
            let line = format!("{:indent$}{}", "", cells.join("  "), indent = self.indent);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The visible width of a text: styles take none.
fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text).map(|part| part.chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use super::Columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let mut columns = Columns::indented(1);
        columns.row([&"a", &1]);
        columns.row([&"─▶ b", &"\u{1b}[1m22\u{1b}[0m", &"x"]);
        assert_eq!(columns.to_string(), " a     1\n ─▶ b  \u{1b}[1m22\u{1b}[0m  x\n");
    }
}
