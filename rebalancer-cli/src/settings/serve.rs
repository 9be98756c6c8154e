//! Assembles the settings of the resident process.

use std::net::SocketAddr;

use super::definition::Setting as _;
use super::definitions::interface::{LOG_FORMAT, LOG_LEVEL, OUTPUT};
use super::definitions::serve::{
    LEADER_ELECTION, LEADER_ELECTION_LEASE, LEADER_ELECTION_NAMESPACE, LISTEN_ADDRESS, SCHEDULE,
};
use super::error::SettingsError;
use super::reader::Reader;
use super::types::{Interface, LeaderElectionSettings, ServeSettings};
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

/// The settings that a resident process reads only when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartSettings {
    listen_address: SocketAddr,
    leader_election: Option<LeaderElectionSettings>,
    pub(crate) interface: Interface,
}

impl StartSettings {
    pub(crate) fn of(serve: &ServeSettings, interface: Interface) -> Self {
        Self {
            listen_address: serve.listen_address,
            leader_election: serve.leader_election.clone(),
            interface,
        }
    }

    /// The names of the settings that are different in `new`.
    pub(crate) fn changed(&self, new: &Self) -> Vec<&'static str> {
        let (shown, new_shown) = (&self.interface, &new.interface);
        let (election, new_election) = (&self.leader_election, &new.leader_election);
        // Without an election on either side, the Lease is not used.
        let leases = election.as_ref().zip(new_election.as_ref());
        let different = [
            (
                LISTEN_ADDRESS.name,
                self.listen_address != new.listen_address,
            ),
            (
                LEADER_ELECTION.name,
                election.is_some() != new_election.is_some(),
            ),
            (
                LEADER_ELECTION_LEASE.name,
                leases.is_some_and(|(old, new)| old.lease != new.lease),
            ),
            (
                LEADER_ELECTION_NAMESPACE.name,
                leases.is_some_and(|(old, new)| old.namespace != new.namespace),
            ),
            (LOG_LEVEL.name, shown.log_level != new_shown.log_level),
            (LOG_FORMAT.name, shown.log_format != new_shown.log_format),
            (OUTPUT.name, shown.output != new_shown.output),
        ];
        let names = different
            .into_iter()
            .filter_map(|(name, is_different)| is_different.then_some(name));
        names.collect()
    }
}
