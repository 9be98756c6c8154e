//! Assembles the settings of the resident process.

use super::definitions::serve::{
    LEADER_ELECTION, LEADER_ELECTION_LEASE, LEADER_ELECTION_NAMESPACE, LISTEN_ADDRESS, SCHEDULE,
};
use super::reader::Reader;
use super::types::{LeaderElectionSettings, ServeSettings};

/// The settings of the resident process.
pub(super) fn serve(reader: &mut Reader<'_>) -> ServeSettings {
    // Read in any case, so that an invalid value is an error.
    let leader_election = LeaderElectionSettings {
        lease: reader.value(&LEADER_ELECTION_LEASE),
        namespace: reader.optional(&LEADER_ELECTION_NAMESPACE),
    };
    let schedule = reader.optional(&SCHEDULE);
    if let Some(schedule) = &schedule
        && schedule.next_after(jiff::Timestamp::now()).is_none()
    {
        reader.invalid(
            &SCHEDULE,
            format!("`{schedule}` matches no time within four years"),
        );
    }
    ServeSettings {
        schedule,
        listen_address: reader.value(&LISTEN_ADDRESS),
        leader_election: reader.value(&LEADER_ELECTION).then_some(leader_election),
    }
}
