//! Writes the document of all functions to standard output: `crates/lambda-host/src/openapi.json` is its copy.

fn main() -> Result<(), serde_json::Error> {
    let document = respaldo_api::document(respaldo_local_server::functions());
    println!("{}", serde_json::to_string(&document)?);
    Ok(())
}
