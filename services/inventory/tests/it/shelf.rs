use pavane::any::Db;
use sqlx::Row as _;

/// Puts things on the shelf.
pub(crate) async fn stock(db: &Db, sku: &str, on_hand: i64) {
    let insert = sqlx::query("insert into stock (sku, on_hand, reserved, shipped) values ($1, $2, 0, 0)");
    insert.bind(sku.to_owned()).bind(on_hand).execute(db.writers()).await.unwrap();
}

/// `[on_hand, reserved, shipped]` of a thing.
pub(crate) async fn shelf(db: &Db, sku: &str) -> [i64; 3] {
    let select = sqlx::query("select on_hand, reserved, shipped from stock where sku = $1").bind(sku.to_owned());
    let row = select.fetch_one(db.readers()).await.unwrap();
    [0, 1, 2].map(|column| row.get(column))
}
