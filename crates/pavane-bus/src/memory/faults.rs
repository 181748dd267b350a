use std::time::Duration;

/// The faults, each with a probability from 0 (never, the default) to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// A message isn't stored, and its publisher gets no answer.
    pub drop_publish: f64,
    /// A message is stored, and its publisher gets no answer.
    pub drop_publish_ack: f64,
    /// An answer to a delivery (ack, retry, reject, in progress) gets lost; its sender doesn't notice.
    pub lose_ack: f64,
    /// A message is delivered again while its first delivery isn't settled.
    pub duplicate: f64,
    /// A message is delivered late, after others.
    pub delay: f64,
    /// The longest of these delays.
    pub delay_max: Duration,
    /// The deliveries of one receive are shuffled.
    pub reorder: f64,
}
