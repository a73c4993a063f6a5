//! Where quotes and brackets close: found once for a whole text, so that asking costs nothing.

use super::work;

/// Stands for no place.
const NONE: u32 = u32::MAX;

/// For each place of a text, where what opens before it closes.
pub(super) struct Closes {
    /// `"`, where a backslash escapes.
    double: Vec<u32>,
    /// `"` or `\"`.
    escaped: Vec<u32>,
    /// `'`.
    single: Vec<u32>,
    /// A back tick.
    ticks: Vec<u32>,
    /// The end of the line.
    lines: Vec<u32>,
    /// The other one of `(` and `{`.
    brackets: Vec<u32>,
}

impl Closes {
    pub(super) fn of(text: &[u8]) -> Closes {
        // Nothing so long is read.
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

    /// The quote that ends what starts at `from`; `escaped`: a quote behind a backslash does too, and
    /// that is where the backslash is.
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

    /// The next back tick.
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

/// Each sort of bracket by itself: commands have odd ones of the other in them.
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
