//! What a tick asks of DynamoDB depends on what is due, not on what there is.

use crate::crowd::requests_of_a_tick;

#[tokio::test]
async fn a_tick_asks_as_often_among_three_thousand_databases_as_among_thirty() {
    let few = requests_of_a_tick(20).await;
    assert_eq!(few.len(), 17, "eight shards of two kinds, and one batch of records: {few:?}");
    assert_eq!(requests_of_a_tick(2_990).await, few);
}
