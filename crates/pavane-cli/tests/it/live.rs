//! `watch --json`: one line for each look.

use serde_json::Value;

use crate::{
    command::pavane,
    stage::{STUCK, Stage},
};

#[tokio::test]
async fn each_look_is_a_line() {
    let stage = Stage::recorded().await;
    let ran = pavane(&stage.url(), &["watch", "--json", "--looks", "2", "--every", "100"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let looks: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 2);
    let states = &looks[0]["overview"]["states"];
    assert_eq!((&states["completed"], &states["compensated"], &states["stuck"]), (&1.into(), &1.into(), &4.into()));
    assert!(looks[1]["stuck"].as_array().unwrap().iter().any(|saga| saga["key"] == STUCK), "{:?}", looks[1]);
    let reactions = looks[0]["flow"]["reactions"].as_array().unwrap();
    let shipping = reactions.iter().find(|reaction| reaction["reaction"] == "create-shipment").unwrap();
    assert_eq!((&shipping["consumer"]["attended"], &shipping["overdue"]), (&false.into(), &1.into()));
}
