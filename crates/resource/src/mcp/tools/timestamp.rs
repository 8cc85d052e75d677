//! `timestamp`: the current time, in any zone and format.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use portcullis_common::clock::SharedClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::tool::{Effect, Tool, ToolCard, ToolError};
use crate::guard::Caller;

/// The zones inside the binary: a bare machine has none, and two machines should answer alike.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Tells the time.
pub(super) struct CurrentTime {
    clock: SharedClock,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// How to write the time, in the directives of `strftime`.
    #[serde(default = "default_format")]
    #[schemars(length(min = 1, max = 100))]
    format: String,
    /// The zone, by its IANA name.
    #[serde(default = "default_zone")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_+/-]+$"))]
    timezone: String,
    /// Whether to add the seconds since 1970.
    #[serde(default)]
    include_epoch: bool,
    /// Whether to add the time in words, relative to now.
    #[serde(default)]
    relative: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Answer {
    /// The time in the format asked for.
    timestamp: String,
    /// The time in RFC 3339, with the offset of the zone.
    iso8601: String,
    /// The zone.
    timezone: String,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
    /// The time in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    relative: Option<&'static str>,
}

fn default_format() -> String {
    "%Y-%m-%d %H:%M:%S %Z".to_owned()
}

fn default_zone() -> String {
    "UTC".to_owned()
}

impl CurrentTime {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock }
    }
}

impl Tool for CurrentTime {
    type Arguments = Arguments;
    type Answer = Answer;

    fn card(&self) -> ToolCard {
        ToolCard {
            name: "timestamp",
            title: "Timestamp",
            description: "Tells the current time in any IANA time zone and strftime format.",
            scopes: "mcp:read",
            needs_user: false,
            effect: Effect::ReadOnly,
        }
    }

    async fn call(&self, _caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let zone = find_zone(&arguments.timezone)?;
        let seconds = self.clock.now().seconds();
        let moment = jiff::Timestamp::from_second(seconds)
            .map_err(|error| ToolError::Failed {
                field: None,
                message: error.to_string(),
            })?
            .to_zoned(zone);
        let timestamp = jiff::fmt::strtime::format(&arguments.format, &moment)
            .map_err(|error| ToolError::failed("format", error.to_string()))?;
        Ok(Answer {
            timestamp,
            iso8601: moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            timezone: moment.time_zone().iana_name().unwrap_or("UTC").to_owned(),
            epoch: arguments.include_epoch.then_some(seconds),
            relative: arguments.relative.then_some("just now"),
        })
    }
}

fn find_zone(name: &str) -> Result<TimeZone, ToolError> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    ZONES
        .get(name)
        .map_err(|_| ToolError::failed("timezone", format!("{name} is not an IANA time zone")))
}
