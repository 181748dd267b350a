//! Writes `docs/why-not-2pc.md` and its plots. Every figure in it comes from the run; the prose around them is what the
//! construction of the three shops implies, whatever the figures.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    experiment::{Plan, Results},
    front::Outcome,
    kill::Killed,
    load,
    plot::{self, Line},
    shop::Way,
};

/// Orders placed within this time are one point of a plot: the slowest of them.
const POINT: f64 = 0.5;

/// Writes the page of a run.
///
/// # Errors
///
/// When a file can't be written.
pub(super) fn write(plan: &Plan, results: &Results) -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    plots(plan, results, &docs.join("why-not-2pc"))?;
    let page = page(plan, results)?;
    let file = docs.join("why-not-2pc.md");
    fs::write(&file, page).with_context(|| format!("can't write {}", file.display()))
}

fn page(plan: &Plan, results: &Results) -> Result<String> {
    let mut page = String::new();
    writeln!(page, "{}", include_str!("page/introduction.md"))?;
    writeln!(page, "{}", method(plan, results)?)?;
    writeln!(page, "## Throughput, time to settle, locks\n")?;
    writeln!(page, "{}", speed(results)?)?;
    writeln!(page, "{}", include_str!("page/speed.md"))?;
    writeln!(page, "## One product that everybody wants\n")?;
    writeln!(page, "{}", hot(plan, results)?)?;
    writeln!(page, "{}", include_str!("page/hot.md"))?;
    writeln!(page, "## A process is killed\n")?;
    writeln!(page, "{}", kills(plan, results)?)?;
    write!(page, "{}", include_str!("page/discussion.md"))?;
    Ok(page)
}

fn method(plan: &Plan, results: &Results) -> Result<String> {
    let script = plan.script;
    let mut text = String::from("## How it was measured\n\n");
    writeln!(
        text,
        "{}. Everything below ran on this machine: PostgreSQL, NATS, the shop and its customers.\n",
        machine()
    )?;
    writeln!(
        text,
        "- **Closed loop:** {} customers who order one thing after another, {} products, {} s a run after a warm-up, {} run(s)\n  \
         interleaved, medians; each way with the number of customers that suits it best.",
        list(plan.customers),
        plan.products,
        plan.window.as_secs(),
        plan.runs,
    )?;
    writeln!(
        text,
        "- **Steady rate:** {} orders a second for {} s, half of what the slowest way can do, the same for all. The time to settle\n  \
         counts from when an order was due until its customer knows that it is confirmed.",
        results.rate,
        plan.steady.as_secs(),
    )?;
    writeln!(
        text,
        "- **Locks:** `pg_locks` is looked at every 5 ms for transactions, prepared ones included, that have a stock row locked. Their\n  \
         average number divided by the orders per second is how long an order has its row locked (Little's law)."
    )?;
    writeln!(
        text,
        "- **Hot row:** {} customers who all want one product, paid with a provider that takes {} ms to authorise.",
        plan.crowd,
        plan.slow.as_millis(),
    )?;
    writeln!(
        text,
        "- **Kill:** {} orders a second for {} products. The process that is killed runs twice in every shop, as whatever must not\n  \
         stop does, and one of the two is killed with SIGKILL and started again {} s later. The coordinators die at their worst\n  \
         moment: all votes are in and nothing is decided, or the goods are held and the log doesn't know. Customers go to the other\n  \
         instance if one isn't there. Two-phase commit gives up on a locked row after {} s.",
        script.rate,
        script.products,
        script.outage.as_secs(),
        script.lock_timeout.as_secs_f64(),
    )?;
    writeln!(
        text,
        "- **Books:** after each run money at the provider, money in the payment service, stock, parcels and what customers were told\n  \
         had to agree to the cent and to the piece, or there would be no page.\n"
    )?;
    Ok(text)
}

fn speed(results: &Results) -> Result<String> {
    let mut table = format!(
        "| | orders/s, closed loop | with customers | p50, {rate} orders/s | p99 | stock row locked per order | longest lock seen |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
        rate = results.rate
    );
    for measured in &results.ways {
        let (customers, rate) = measured.best();
        let steady = measured.steady;
        let [p50, p99, held, longest] = [steady.p50, steady.p99, steady.held, steady.longest].map(number);
        let (title, rate) = (measured.way.title(), number(rate.median()));
        writeln!(table, "| {title} | {rate} | {customers} | {p50} ms | {p99} ms | {held} ms | {longest} ms |")?;
    }
    write!(table, "\n![Orders a second, closed loop](why-not-2pc/closed.svg)\n")?;
    write!(table, "\n![Milliseconds for which an order has its stock row locked](why-not-2pc/locks.svg)\n")?;
    Ok(table)
}

fn hot(plan: &Plan, results: &Results) -> Result<String> {
    let mut table = String::from("| | orders/s | stock row locked per order |\n|---|---:|---:|\n");
    for measured in &results.ways {
        let [rate, held] = [&measured.hot.rate, &measured.hot.held].map(|runs| number(runs.median()));
        writeln!(table, "| {} | {rate} | {held} ms |", measured.way.title())?;
    }
    write!(
        table,
        "\n![Orders a second on one stock row](why-not-2pc/hot.svg)\n\n\
         {} customers who wait {} ms each can't make more than {} orders/s, however fast they are served.\n",
        plan.crowd,
        plan.slow.as_millis(),
        number(f64::from(u32::try_from(plan.crowd)?) / plan.slow.as_secs_f64()),
    )?;
    Ok(table)
}

fn kills(plan: &Plan, results: &Results) -> Result<String> {
    let mut table = String::from(
        "| | killed | orders under way | the last of them ended | transactions in doubt | stock rows stuck | placed while it was dead \
         | of those failed | p50 | p99 | ready again after the restart |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for killed in &results.kills {
        let others: Vec<_> = killed.others(&plan.script).collect();
        let failed = others.iter().filter(|order| order.outcome != Outcome::Confirmed).count();
        let wait = |percent| number(load::millis(others.iter().copied(), percent));
        writeln!(
            table,
            "| {} | {} | {} | {} s after the kill | {} | {} of {} | {} | {failed} | {} ms | {} ms | {} s |",
            killed.way.title(),
            killed.victim,
            killed.touched().count(),
            seconds(killed.last_touched()),
            killed.stuck.in_doubt,
            killed.stuck.stock_rows,
            plan.script.products,
            others.len(),
            wait(50.0),
            wait(99.0),
            seconds(killed.ready_after),
        )?;
    }
    write!(table, "\n![How long orders took, by when they were placed](why-not-2pc/kill.svg)\n")?;
    Ok(table)
}

fn plots(plan: &Plan, results: &Results, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let bars = |of: &dyn Fn(&super::experiment::Measured) -> f64| -> Vec<(&str, f64)> {
        results.ways.iter().map(|measured| (measured.way.title(), of(measured))).collect()
    };
    plot::bars(&file("closed.svg"), "Orders a second, closed loop", &bars(&|way| way.best().1.median()))?;
    let title = format!("Milliseconds for which an order has its stock row locked, at {} orders/s", results.rate);
    plot::bars(&file("locks.svg"), &title, &bars(&|way| way.steady.held))?;
    let title = format!("Orders a second for one product, provider takes {} ms", plan.slow.as_millis());
    plot::bars(&file("hot.svg"), &title, &bars(&|way| way.hot.rate.median()))?;
    let lines: Vec<_> = results.kills.iter().map(line).collect();
    let title = "The slowest order of each half second (a cross: orders failed)";
    plot::waits(&file("kill.svg"), title, plan.script.outage.as_secs_f64(), &lines)
}

/// The slowest order of each moment, and the slowest that failed.
fn line(killed: &Killed) -> Line {
    let name = match killed.way {
        Way::Pavane => format!("{}: {}", killed.way.title(), killed.victim),
        Way::TwoPhase | Way::TwoPhaseLate | Way::Orchestrated => killed.way.title().to_owned(),
    };
    let mut line = Line { name, points: Vec::new(), failures: Vec::new() };
    for order in &killed.orders {
        let since = order.at.as_secs_f64() - killed.died.as_secs_f64();
        let (at, took) = ((since / POINT).floor() * POINT, order.took.as_secs_f64());
        let failed = order.outcome != Outcome::Confirmed;
        let points = if failed { &mut line.failures } else { &mut line.points };
        match points.last_mut() {
            Some(last) if (last.0 - at).abs() < POINT / 2.0 => last.1 = last.1.max(took),
            _ => points.push((at, took)),
        }
    }
    line
}

/// What this runs on, in words.
fn machine() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown CPU", |(_, model)| model).to_owned();
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let kib =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let gib = kib.unwrap_or_default() / (1 << 20);
    format!("{model}, {cores} cores, {gib} GiB, {}", read("/proc/sys/kernel/ostype").trim())
}

fn list(numbers: &[usize]) -> String {
    let numbers: Vec<_> = numbers.iter().map(usize::to_string).collect();
    numbers.join(", ")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

/// Three significant digits, and no more than a person reads.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
