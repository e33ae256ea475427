//! Opens the bucket, or creates it.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{self, kv::Store, stream::Config},
};

/// The settings of the bucket are those of a stream. `create_key_value` would create one that lets
/// any replica answer reads, also one that lags behind.
pub(crate) async fn open(
    client: Client,
    name: &str,
    keeps: Duration,
) -> Result<Store, async_nats::Error> {
    let config = Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        max_message_size: i32::try_from(client.server_info().max_payload)?,
        max_age: keeps,
        allow_rollup: true,
        ..Config::default()
    };
    let jetstream = jetstream::new(client);
    if jetstream.create_stream(config.clone()).await.is_err() {
        // Another process may have created it at this moment.
        jetstream.create_stream(config).await?;
    }
    Ok(jetstream.get_key_value(name).await?)
}
