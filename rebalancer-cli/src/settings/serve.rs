//! Assembles the settings of the resident process.

use super::definition::Setting as _;
use super::definitions::serve::{
    LEADER_ELECTION, LEADER_ELECTION_LEASE, LEADER_ELECTION_NAMESPACE, LISTEN_ADDRESS, SCHEDULE,
};
use super::error::SettingsError;
use super::reader::Reader;
use super::types::{LeaderElectionSettings, ServeSettings};
use crate::schedule::Schedule;

/// The settings of the resident process.
pub(super) fn serve(reader: &mut Reader<'_>) -> ServeSettings {
    // Read in any case, so that an invalid value is an error.
    let leader_election = LeaderElectionSettings {
        lease: reader.value(&LEADER_ELECTION_LEASE),
        namespace: reader.optional(&LEADER_ELECTION_NAMESPACE),
    };
    ServeSettings {
        schedule: reader.optional(&SCHEDULE),
        listen_address: reader.value(&LISTEN_ADDRESS),
        leader_election: reader.value(&LEADER_ELECTION).then_some(leader_election),
    }
}

impl ServeSettings {
    /// The schedule.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn required_schedule(&self) -> Result<Schedule, SettingsError> {
        let missing = SettingsError::Missing {
            env: SCHEDULE.name,
            flag: SCHEDULE.flag(),
            help: SCHEDULE.help,
        };
        self.schedule.clone().ok_or(missing)
    }
}
