//! Where quotes and brackets close: computed once for a whole text, so that each lookup is free.

use super::work;

/// No position.
const NONE: u32 = u32::MAX;

/// For each position of a text, where something opened before it closes.
pub(super) struct Closes {
    /// The next `"` that no backslash escapes.
    double: Vec<u32>,
    /// The next `"` or `\"`.
    escaped: Vec<u32>,
    /// The next `'`.
    single: Vec<u32>,
    /// The next backtick.
    ticks: Vec<u32>,
    /// The end of the line.
    lines: Vec<u32>,
    /// The matching `)` or `}`.
    brackets: Vec<u32>,
}

impl Closes {
    pub(super) fn of(text: &[u8]) -> Closes {
        // Longer texts are not read.
        let text = text.get(..text.len().min(NONE as usize - 2)).unwrap_or_default();
        work(text.len());
        let none = || vec![NONE; text.len() + 2];
        let (mut double, mut escaped, mut single) = (none(), none(), none());
        let (mut ticks, mut lines) = (none(), none());
        for (at, byte) in text.iter().enumerate().rev() {
            let here = at as u32;
            let next = if *byte == b'\\' { at + 2 } else { at + 1 };
            let is_escaped_quote = *byte == b'\\' && text.get(at + 1) == Some(&b'"');
            double[at] = if *byte == b'"' { here } else { double[next] };
            escaped[at] = if *byte == b'"' || is_escaped_quote { here } else { escaped[next] };
            single[at] = if *byte == b'\'' { here } else { single[at + 1] };
            ticks[at] = if *byte == b'`' { here } else { ticks[at + 1] };
            lines[at] = if *byte == b'\n' { here } else { lines[at + 1] };
        }
        Closes { double, escaped, single, ticks, lines, brackets: brackets(text) }
    }

    /// The quote that closes a text starting at `from`. `escaped`: an escaped quote closes it too, and the position of
    /// its backslash is returned.
    pub(super) fn quote(&self, text: &[u8], from: usize, quote: u8, escaped: bool) -> Option<usize> {
        match (quote, escaped) {
            (b'"', false) => place(&self.double, from),
            (b'"', true) => place(&self.escaped, from),
            (_, false) => place(&self.single, from),
            (_, true) => {
                let end = place(&self.single, from)?;
                let behind =
                    end.checked_sub(1).filter(|before| *before >= from && text.get(*before) == Some(&b'\\'));
                Some(behind.unwrap_or(end))
            }
        }
    }

    /// The next backtick.
    pub(super) fn tick(&self, from: usize) -> Option<usize> {
        place(&self.ticks, from)
    }

    /// The end of the line, if another follows.
    pub(super) fn line(&self, from: usize) -> Option<usize> {
        place(&self.lines, from)
    }

    /// The bracket that closes the one here.
    pub(super) fn bracket(&self, at: usize) -> Option<usize> {
        place(&self.brackets, at)
    }
}

fn place(places: &[u32], at: usize) -> Option<usize> {
    places.get(at).filter(|place| **place != NONE).map(|place| *place as usize)
}

/// Each kind of bracket separately: commands may contain unbalanced ones of the other kind.
fn brackets(text: &[u8]) -> Vec<u32> {
    let mut closes = vec![NONE; text.len()];
    let mut open: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'(' => open[0].push(at),
            b'{' => open[1].push(at),
            b')' | b'}' => {
                if let Some(start) = open[usize::from(*byte == b'}')].pop() {
                    closes[start] = at as u32;
                }
            }
            _ => {}
        }
    }
    closes
}
