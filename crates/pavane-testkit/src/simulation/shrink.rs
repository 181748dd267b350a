//! Takes away from a failing run whatever it doesn't need to fail.

use std::time::Duration;

use super::{Plan, Run};

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
    while let Some(run) = simpler(&smallest.plan).iter().find_map(|plan| try_plan(plan, 32)) {
        smallest = run;
    }
    let Run { plan, happened, .. } = fewest_faults(smallest, fails, again);
    Plan { only: Some(happened.into_iter().collect()), ..plan }
}

/// Plans that do less, those that do much less first.
fn simpler(plan: &Plan) -> Vec<Plan> {
    let mut fewer: Vec<_> =
        [1, 2, plan.sagas / 2].into_iter().filter(|sagas| (1..plan.sagas).contains(sagas)).collect();
    fewer.dedup();
    let mut simpler: Vec<_> = fewer.into_iter().map(|sagas| Plan { sagas, ..plan.clone() }).collect();
    simpler.extend(plan.with_fewer_kinds());
    simpler.extend((plan.instances > 1).then(|| Plan { instances: 1, ..plan.clone() }));
    simpler.extend((!plan.skew_max.is_zero()).then(|| Plan { skew_max: Duration::ZERO, ..plan.clone() }));
    simpler.extend((plan.batch_max > 1).then(|| Plan { batch_max: 1, ..plan.clone() }));
    simpler
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
