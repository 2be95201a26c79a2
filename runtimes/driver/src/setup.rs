//! What a driver makes its node from.

use crate::engine::{Engine, Writer};
use bytes::Bytes;
use khashmir::config::{AddressFamilies, ConfigError};
use khashmir::{Config, Instant};
use khashmir_recording::{Earlier, Recorder, Start};
use std::fmt;
use std::io::Write;
use std::time::Duration;

/// What a driver makes its node from. A [`Config`] alone makes a new node, which knows nobody:
///
/// ```
/// use khashmir::Config;
/// use khashmir_driver::Setup;
/// # let (snapshot, downtime) = (Vec::new(), std::time::Duration::ZERO);
///
/// let new = Setup::from(Config::default());
/// let restored = Setup::from(Config::default()).restored(&snapshot, downtime);
/// let recorded = Setup::from(Config::default()).recorded(Vec::new());
/// ```
pub struct Setup {
    config: Config,
    earlier: Option<Earlier>,
    recording: Option<Recording>,
}

struct Recording {
    writer: Writer,
    is_blinded: bool,
}

impl Setup {
    /// The node that made `snapshot`, after it was down for `downtime`.
    #[must_use]
    pub fn restored(self, snapshot: &[u8], downtime: Duration) -> Setup {
        Setup { earlier: Some(Earlier { snapshot: Bytes::copy_from_slice(snapshot), downtime }), ..self }
    }

    /// All that happens to the node is [recorded](khashmir_recording) to `writer`, for a replay. The
    /// node waits while it writes. **The recording holds secrets.**
    #[must_use]
    pub fn recorded(self, writer: impl Write + Send + 'static) -> Setup {
        Setup { recording: Some(Recording { writer: Box::new(writer), is_blinded: false }), ..self }
    }

    /// The same as text, [blinded](khashmir_recording#blinded-recordings), for people.
    #[must_use]
    pub fn recorded_blinded(self, writer: impl Write + Send + 'static) -> Setup {
        Setup { recording: Some(Recording { writer: Box::new(writer), is_blinded: true }), ..self }
    }

    /// The node. The address families are those of its sockets, whatever the configuration says.
    pub(crate) fn make(
        self,
        address_families: AddressFamilies,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Engine, ConfigError> {
        let Setup { config, earlier, recording } = self;
        let start = Start { config: Config { address_families, ..config }, seed, now, earlier };
        let recorder = match recording {
            None => return start.node().map(Engine::from),
            Some(Recording { writer, is_blinded: false }) => Recorder::start(&start, writer),
            Some(Recording { writer, is_blinded: true }) => Recorder::start_blinded(&start, writer),
        };
        Ok(Engine::Recorded(Box::new(recorder?)))
    }
}

impl From<Config> for Setup {
    fn from(config: Config) -> Setup {
        Setup { config, earlier: None, recording: None }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("config", &self.config)
            .field("is_restored", &self.earlier.is_some())
            .field("is_recorded", &self.recording.is_some())
            .finish()
    }
}
