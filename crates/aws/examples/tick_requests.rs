//! How many requests a tick sends to DynamoDB when ten databases are due, of a hundred and of a hundred thousand.
//!
//! `cargo run --release -p respaldo-aws --example tick_requests [DATABASES]`
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails says so and ends")]
#![allow(dead_code, reason = "the tests' helpers have more than this needs")]

#[path = "../tests/dynamodb/crowd.rs"]
mod crowd;
#[path = "../tests/dynamodb/support.rs"]
mod support;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let many = std::env::args().nth(1).map_or(100_000, |text| text.parse().expect("a number of databases"));
    let few = crowd::requests_of_a_tick(90).await;
    let much = crowd::requests_of_a_tick(many - 10).await;
    println!("a tick's requests to DynamoDB, 10 databases due");
    println!("  of 100 databases: {} ({})", few.len(), told(&few));
    println!("  of {many} databases: {} ({})", much.len(), told(&much));
    println!("  ratio: {:.2}", ratio(much.len(), few.len()));
}

fn told(requests: &[String]) -> String {
    let pieces = requests.chunk_by(|a, b| a == b).map(|same| format!("{} {}", same.len(), same[0]));
    pieces.collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn ratio(one: usize, other: usize) -> f64 {
    one as f64 / other as f64
}
