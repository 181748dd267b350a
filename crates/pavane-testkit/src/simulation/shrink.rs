//! Takes away from a failing run whatever it doesn't need to fail.

use std::time::Duration;

use super::{Faults, Plan, Run};

/// The smallest plan found that violates the same invariant.
pub(super) fn smallest(run: Run, again: impl Fn(Plan) -> Run) -> Plan {
    let invariant = run.violations.first().map(|violation| violation.invariant.clone()).unwrap_or_default();
    let fails = |run: &Run| run.violations.iter().any(|violation| violation.invariant == invariant);
    // Another plan has another course, so what fails may need another seed to fail with less.
    let try_plan = |plan: &Plan, seeds: u64| {
        (0..seeds).find_map(|offset| {
            let seed = plan.seed.wrapping_add(offset.wrapping_mul(0x1_0000_0001));
            Some(again(Plan { seed, ..plan.clone() })).filter(|run| fails(run))
        })
    };
    let mut smallest = run;
    let mut before = None;
    // A pass goes through all reductions once: what is needed is tried once a pass, not anew after each success.
    while before.as_ref() != Some(&smallest.plan) {
        before = Some(smallest.plan.clone());
        for reduce in reductions() {
            while let Some(run) = reduce(&smallest.plan).and_then(|plan| try_plan(&plan, 32)) {
                smallest = run;
            }
        }
    }
    let Run { plan, happened, .. } = fewest_faults(smallest, fails, again);
    Plan { only: Some(happened.into_iter().collect()), ..plan }
}

/// Makes a plan that does less in one way; `None` where it doesn't do that anyway.
type Reduction = Box<dyn Fn(&Plan) -> Option<Plan>>;

/// All ways to do less, those that do much less first.
fn reductions() -> Vec<Reduction> {
    let with = |plan: &Plan, reduce: &dyn Fn(&mut Plan)| {
        let mut reduced = plan.clone();
        reduce(&mut reduced);
        (reduced != *plan).then_some(reduced)
    };
    let mut reductions: Vec<Reduction> = vec![
        Box::new(move |plan| with(plan, &|plan| plan.sagas = 1)),
        Box::new(move |plan| with(plan, &|plan| plan.sagas = plan.sagas.min(2))),
        Box::new(move |plan| with(plan, &|plan| plan.sagas = plan.sagas.div_ceil(2))),
    ];
    for kind in Faults::KINDS {
        reductions.push(Box::new(move |plan| with(plan, &|plan| *kind(&mut plan.faults) = 0.0)));
    }
    reductions.push(Box::new(move |plan| with(plan, &|plan| plan.instances = 1)));
    reductions.push(Box::new(move |plan| with(plan, &|plan| plan.skew_max = Duration::ZERO)));
    reductions.push(Box::new(move |plan| with(plan, &|plan| plan.batch_max = 1)));
    reductions
}

/// Leaves out single faults: halves of them first, then smaller parts ("delta debugging", by Zeller and Hildebrandt, 2002).
fn fewest_faults(run: Run, fails: impl Fn(&Run) -> bool, again: impl Fn(Plan) -> Run) -> Run {
    let mut smallest = run;
    let mut parts = 2;
    while smallest.happened.len() > 1 && parts <= smallest.happened.len() {
        let size = smallest.happened.len().div_ceil(parts);
        let without = |part: usize| {
            let (from, to) = (part * size, (part + 1) * size);
            let kept = smallest.happened.iter().enumerate().filter(|(at, _)| *at < from || *at >= to);
            let only = kept.map(|(_, number)| *number).collect();
            Some(again(Plan { only: Some(only), ..smallest.plan.clone() })).filter(|run| fails(run))
        };
        match (0..parts).find_map(without) {
            // A run that fails with fewer faults may meet others; only those that it was left count.
            Some(run) if run.happened.len() < smallest.happened.len() => {
                (smallest, parts) = (run, 2.max(parts - 1));
            }
            _ => parts *= 2,
        }
    }
    smallest
}
