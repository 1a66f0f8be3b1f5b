//! An endpoint goes, and all that was made for it. One that is gone already, or never was, is no fault.

use poplin_node::request::Detach;

use crate::docker::driver::{Driver, Outcome, attachment, done};
use crate::docker::wire::{network, read};
use crate::serve::Call;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::Named = read(body)?;
    let attachment = attachment(&request.endpoint_id);
    driver.remember(|memory| memory.made.remove(&attachment));
    driver.ask(|answer| Call::Detach(Detach::Attachment(attachment.clone()), answer)).await?;
    done()
}
