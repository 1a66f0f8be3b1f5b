//! An address is given back. Mostly its endpoint has given it back already; it may come twice, and name no address at all.

use crate::docker::driver::{Driver, Outcome, done};
use crate::docker::wire::{ipam, read};
use crate::serve::Call;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: ipam::ReleaseAddress = read(body)?;
    let bare = request.address.split('/').next().unwrap_or_default();
    if let Ok(address) = bare.parse() {
        let _stopping = driver.desk.calls.send(Call::LetGo(address)).await;
    }
    done()
}
