mod drawing;
mod response_time;
use std::error::Error;
fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "benches/pictures".into());
    std::fs::create_dir_all(&out)?;
    drawing::draw(&std::path::Path::new(&out).join("response-time"), &[response_time::paper()?])?;
    Ok(())
}
