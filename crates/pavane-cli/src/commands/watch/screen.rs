//! What is on the screen.

use pavane_observe::{
    State,
    report::{Flow, ReactionFlow},
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Cell, List, ListItem, Row, Table},
};

use super::Look;
use crate::words;

const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const GOOD: Style = Style::new().fg(Color::Green);
const CAREFUL: Style = Style::new().fg(Color::Yellow);

/// Lines of the states' panel.
const STATES_HEIGHT: u16 = 9;

/// Draws one look.
pub(super) fn draw(frame: &mut Frame<'_>, look: &Look) {
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(STATES_HEIGHT),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ]);
    let [head, top, middle, bottom, foot] = rows.areas(frame.area());
    let [left, right] = Layout::horizontal([Constraint::Length(40), Constraint::Fill(1)]).areas(top);
    frame.render_widget(headline(look), head);
    frame.render_widget(states(look), left);
    frame.render_widget(events(&look.flow, right), right);
    frame.render_widget(reactions(&look.flow), middle);
    frame.render_widget(stuck(look), bottom);
    frame.render_widget(Line::styled(" q quit   ↑↓ scroll what is stuck", FAINT), foot);
}

fn headline(look: &Look) -> Line<'_> {
    let overview = &look.overview;
    let mut spans = vec![
        Span::styled(" pavane ", STRONG),
        Span::raw(format!(
            " {} events, {:.1} sagas/s start, {:.1}/s end, {} dead letters  ",
            overview.events, overview.started_per_second, overview.ended_per_second, overview.dead_letters
        )),
        Span::styled(format!("as of {:.0}", overview.as_of), FAINT),
    ];
    if !overview.loaded {
        spans.push(Span::styled("  still reading", CAREFUL));
    }
    if let Some(trouble) = &look.trouble {
        spans.push(Span::styled(format!("  {trouble}"), BAD));
    }
    Line::from(spans)
}

fn states(look: &Look) -> Table<'_> {
    let rows = State::ALL.into_iter().map(|state| {
        let count = look.overview.states.get(&state).copied().unwrap_or(0);
        let style = match state {
            _ if count == 0 => FAINT,
            State::Stuck | State::NeedsReview => BAD,
            State::Completed => GOOD,
            State::Compensating => CAREFUL,
            State::InProgress | State::Compensated | State::Resolved | _ => Style::new(),
        };
        Row::new([Cell::new(state.as_str()), number(count)]).style(style)
    });
    Table::new(rows, [Constraint::Fill(1), Constraint::Length(10)]).block(panel(" sagas ".to_owned()))
}

/// The busiest events, as many as there is room for.
fn events(flow: &Flow, area: Rect) -> Table<'_> {
    let mut events: Vec<_> = flow.events.iter().filter(|event| event.total > 0).collect();
    events.sort_by(|a, b| b.per_second.total_cmp(&a.per_second).then(b.total.cmp(&a.total)));
    let room = usize::from(area.height.saturating_sub(2));
    let rows = events.into_iter().take(room).map(|event| {
        let rate = Line::from(format!("{:.1}/s", event.per_second)).right_aligned();
        Row::new([Cell::new(event.event.as_str()), Cell::new(rate), number(event.total)])
    });
    let widths = [Constraint::Fill(1), Constraint::Length(10), Constraint::Length(10)];
    Table::new(rows, widths).block(panel(" events ".to_owned()))
}

/// Every reaction with its lag, those in trouble first.
fn reactions(flow: &Flow) -> Table<'_> {
    let mut reactions: Vec<&ReactionFlow> = flow.reactions.iter().collect();
    reactions.sort_by_key(|reaction| std::cmp::Reverse((reaction.overdue, reaction.dead_letters, lag(reaction))));
    let rows = reactions.into_iter().map(|reaction| {
        let consumer = reaction.consumer.as_ref();
        let absent = consumer.is_none_or(|consumer| !consumer.attended && consumer.in_flight == 0);
        let style = if reaction.overdue > 0 || reaction.dead_letters > 0 {
            BAD
        } else if absent {
            CAREFUL
        } else {
            Style::new()
        };
        let who = match consumer {
            None => "no consumer",
            Some(consumer) if consumer.paused => "paused",
            Some(_) if absent => "nobody there",
            Some(_) => "",
        };
        Row::new([
            Cell::new(format!("{}/{}", reaction.service, reaction.reaction)),
            number(lag(reaction)),
            number(consumer.map_or(0, |consumer| consumer.in_flight)),
            number(consumer.map_or(0, |consumer| consumer.redelivered)),
            number(reaction.waiting),
            number(reaction.overdue),
            number(reaction.dead_letters),
            Cell::new(who),
        ])
        .style(style)
    });
    let count = Constraint::Length(9);
    let widths = [Constraint::Fill(1), count, count, count, count, count, count, Constraint::Length(12)];
    let heads = ["lag", "in hand", "again", "waited on", "overdue", "dead"];
    let heads = heads.map(|head| Cell::new(Line::from(head).right_aligned()));
    let header = Row::new(std::iter::once(Cell::new("reaction")).chain(heads)).style(FAINT);
    Table::new(rows, widths).header(header).block(panel(" reactions ".to_owned()))
}

fn stuck(look: &Look) -> List<'_> {
    let sagas = look.stuck.iter().skip(look.scrolled).map(|saga| {
        let waits_for = saga.waits_for.as_deref().unwrap_or_default();
        ListItem::new(Line::from(vec![
            Span::styled(format!("{:<13}", saga.state.as_str()), BAD),
            Span::styled(saga.key.clone(), STRONG),
            Span::raw(format!("  {waits_for}  ")),
            Span::styled(format!("{} old", words::millis(saga.age_ms)), FAINT),
        ]))
    });
    let title = format!(" stuck or to be decided: {} ", look.stuck.len());
    List::new(sagas).block(panel(title))
}

fn lag(reaction: &ReactionFlow) -> u64 {
    reaction.consumer.as_ref().map_or(0, |consumer| consumer.pending)
}

fn number(count: u64) -> Cell<'static> {
    Cell::new(Line::from(count.to_string()).right_aligned())
}

fn panel(title: String) -> Block<'static> {
    Block::new().borders(Borders::ALL).border_style(FAINT).title(Span::styled(title, STRONG))
}
