/// A run as a sequence diagram: who sent what to whom, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    participants: Vec<String>,
    beats: Vec<Beat>,
}

/// One line of the diagram.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Beat {
    from: usize,
    /// `None` for a note.
    to: Option<usize>,
    text: String,
}

impl Sequence {
    pub(crate) fn between<'a>(participants: impl Iterator<Item = &'a str>) -> Self {
        Self { participants: participants.map(str::to_owned).collect(), beats: Vec::new() }
    }

    pub(crate) fn message(&mut self, from: &str, to: &str, text: &str) {
        let (from, to) = (self.participant(from), Some(self.participant(to)));
        self.beats.push(Beat { from, to, text: text.to_owned() });
    }

    pub(crate) fn note(&mut self, over: &str, text: &str) {
        let from = self.participant(over);
        self.beats.push(Beat { from, to: None, text: text.to_owned() });
    }

    /// A closing note, beside the last participant.
    pub(crate) fn note_end(&mut self, text: &str) {
        let from = self.beats.last().map_or(0, |beat| beat.to.unwrap_or(beat.from));
        self.beats.push(Beat { from, to: None, text: text.to_owned() });
    }

    /// Whether nothing happens in it.
    pub fn is_empty(&self) -> bool {
        self.beats.is_empty()
    }

    fn participant(&mut self, name: &str) -> usize {
        let known = self.participants.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.participants.push(name.to_owned());
            self.participants.len() - 1
        })
    }

    /// The participants that take part, in their order.
    fn present(&self) -> Vec<usize> {
        let takes_part = |ix: &usize| self.beats.iter().any(|beat| beat.from == *ix || beat.to == Some(*ix));
        (0..self.participants.len()).filter(takes_part).collect()
    }

    /// The diagram as text: a lifeline for each participant, and to the right what happens.
    pub fn text(&self) -> String {
        let present = self.present();
        let width = present.iter().map(|ix| self.participants[*ix].chars().count()).max().unwrap_or_default() + 3;
        let column = |ix: usize| present.iter().position(|other| *other == ix).unwrap_or_default() * width;
        let names: Vec<String> = present.iter().map(|ix| format!("{:<width$}", self.participants[*ix])).collect();
        let mut lines = vec![format!("     {}", names.concat().trim_end())];
        for (number, beat) in (1..).zip(&self.beats) {
            let mut line: Vec<char> = vec![' '; present.len() * width];
            for ix in &present {
                line[column(*ix)] = '│';
            }
            draw(&mut line, column(beat.from), beat.to.map(column));
            let line: String = line.into_iter().collect();
            lines.push(format!("{number:>3}  {line}{}", beat.text));
        }
        lines.join("\n") + "\n"
    }

    /// The diagram for Mermaid.
    pub fn mermaid(&self) -> String {
        // Some words and characters have a meaning in Mermaid, so names get identifiers.
        let id = |ix: usize| format!("{}_", self.participants[ix].replace('-', "_"));
        let present = self.present();
        let participants =
            present.iter().map(|ix| format!("    participant {} as {}", id(*ix), self.participants[*ix]));
        let beats = self.beats.iter().map(|beat| {
            // A semicolon ends a line in Mermaid.
            let what = beat.text.replace(';', ",");
            match beat.to {
                Some(to) => format!("    {}->>{}: {what}", id(beat.from), id(to)),
                None => format!("    Note over {}: {what}", id(beat.from)),
            }
        });
        let lines: Vec<String> =
            std::iter::once("sequenceDiagram".to_owned()).chain(participants).chain(beats).collect();
        lines.join("\n") + "\n"
    }
}

/// Draws an arrow across the lifelines, or a dot for a note.
fn draw(line: &mut [char], from: usize, to: Option<usize>) {
    let Some(to) = to.filter(|to| *to != from) else {
        line[from] = '●';
        return;
    };
    for (place, cell) in line.iter_mut().enumerate().take(from.max(to)).skip(from.min(to) + 1) {
        *cell = if *cell == '│' { '┼' } else { '─' };
        if place + 1 == to {
            *cell = '▶';
        }
        if place == to + 1 {
            *cell = '◀';
        }
    }
    line[from] = if from < to { '├' } else { '┤' };
}
