//! How things are measured: pairs, interleaved, several times.

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The same measurement, taken several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn new(values: Vec<f64>) -> Self {
        Self(values)
    }

    /// The one value that was measured.
    pub(crate) fn once(value: f64) -> Self {
        Self(vec![value])
    }

    pub(crate) fn is_single(&self) -> bool {
        self.0.len() == 1
    }

    pub(crate) fn median(&self) -> f64 {
        percentile(&mut self.0.clone(), 50.0)
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This divided by `other`, run by run: what slows the machine down for a while slows both of a pair down. Empty where
    /// there is nothing to divide by.
    pub(crate) fn ratios(&self, other: &Self) -> Self {
        Self(
            self.0.iter().zip(&other.0).map(|(mine, theirs)| mine / theirs).filter(|ratio| ratio.is_finite()).collect(),
        )
    }
}

/// Runs two programs in turn, A B A B, and returns what each of them measured.
///
/// # Errors
///
/// When one of them fails.
pub(crate) async fn pair(
    runs: usize,
    mut pavane: impl AsyncFnMut() -> Result<f64>,
    mut anchor: impl AsyncFnMut() -> Result<f64>,
) -> Result<(Sample, Sample)> {
    let (mut a, mut b) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for run in 0..runs {
        // Who goes first changes too, or one of them would always find the machine as the other left it.
        if run % 2 == 0 {
            a.push(pavane().await?);
            b.push(anchor().await?);
        } else {
            b.push(anchor().await?);
            a.push(pavane().await?);
        }
    }
    Ok((Sample::new(a), Sample::new(b)))
}

/// The value that `percent` of the values don't exceed; 0 when there are none.
pub(crate) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 values")]
    let at = percent / 100.0 * (values.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and the length")]
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    values[below] + (values[above] - values[below]) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_the_values() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        for (percent, expected) in [(0.0, 1.0), (50.0, 2.5), (100.0, 4.0)] {
            assert!((percentile(&mut values, percent) - expected).abs() < 1e-9, "{percent}");
        }
    }

    #[test]
    fn a_pair_is_divided_run_by_run() {
        let ratios = Sample::new(vec![10.0, 40.0, 30.0]).ratios(&Sample::new(vec![10.0, 20.0, 10.0]));
        assert!((ratios.median() - 2.0).abs() < 1e-9, "{ratios:?}");
    }
}
