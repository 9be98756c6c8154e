//! Matching of the members of a group to the pods of the workload.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::group::MemberDocument;
use crate::model::Pod;
use crate::ports::MemberLabels;

/// The pods of the workload, by the labels that metrics may have.
pub(super) struct Pods<'a> {
    by_name: HashMap<&'a str, &'a Pod>,
    /// `None` for an address that several pods have, such as that of the host network.
    by_ip: HashMap<IpAddr, Option<&'a Pod>>,
}

impl<'a> Pods<'a> {
    pub(super) fn new(pods: &'a [Pod]) -> Self {
        // Another pod may have got the address of a pod that has ended.
        let running = || pods.iter().filter(|pod| !pod.has_ended());
        let mut by_ip = HashMap::new();
        for pod in running() {
            if let Some(ip) = pod.ip.as_deref().and_then(address) {
                let of = by_ip.entry(ip);
                of.and_modify(|of| *of = None).or_insert(Some(pod));
            }
        }
        Self {
            by_name: running().map(|pod| (pod.name.as_str(), pod)).collect(),
            by_ip,
        }
    }

    /// The pod of a member: by its name, else by its address, else by an instance id or a client id
    /// that contains the pod's name as a word.
    pub(super) fn of(&self, labels: &MemberLabels) -> Option<&'a Pod> {
        let by_name = || self.by_name.get(labels.pod.as_deref()?).copied();
        let by_host = || {
            let host = without_name(labels.host.as_deref()?);
            let by_ip = || *self.by_ip.get(&address(host)?)?;
            by_ip().or_else(|| self.by_name.get(host).copied())
        };
        let by_id = |id: &Option<String>| {
            let id = id.as_deref()?;
            let named = self.by_name.values().copied();
            // The name `app-1` is also a prefix of `app-10`.
            named
                .filter(|pod| is_word_of(id, &pod.name))
                .max_by_key(|pod| pod.name.len())
        };
        by_name()
            .or_else(by_host)
            .or_else(|| by_id(&labels.instance))
            .or_else(|| by_id(&labels.client_id))
    }

    /// The names of the ready pods without a member, ascending.
    pub(super) fn without_member<'m>(
        &self,
        members: impl Iterator<Item = &'m MemberDocument>,
    ) -> Vec<String> {
        let with: HashSet<&str> = members.map(|member| member.pod.as_str()).collect();
        let ready = self.by_name.values().filter(|pod| pod.serves());
        let mut without: Vec<String> = ready
            .filter(|pod| !with.contains(pod.name.as_str()))
            .map(|pod| pod.name.clone())
            .collect();
        without.sort_unstable();
        without
    }

    /// Adds a member without partitions for each ready pod that has none.
    pub(super) fn with_idle(&self, mut members: Vec<MemberDocument>) -> Vec<MemberDocument> {
        if members.is_empty() {
            return members;
        }
        let idle = self.without_member(members.iter());
        members.extend(idle.into_iter().map(|pod| MemberDocument {
            pod,
            ..MemberDocument::default()
        }));
        members
    }
}

/// The address of a host. Java formats hosts as `host/10.0.0.1`, or `/10.0.0.1` without a name.
fn without_name(host: &str) -> &str {
    host.rsplit_once('/').map_or(host, |(_, address)| address)
}

/// Whether the host of a member, as the broker sees it, is the address of the pod.
pub(crate) fn is_address_of(host: &str, pod: &Pod) -> bool {
    let ip = pod.ip.as_deref().and_then(address);
    ip.is_some() && address(without_name(host)) == ip
}

/// Parses an address. Java writes IPv6 addresses in full, and may append the interface.
fn address(text: &str) -> Option<IpAddr> {
    let (address, _) = text.split_once('%').unwrap_or((text, ""));
    address.parse().ok()
}

/// Whether `text` contains `word` without an alphanumeric character before or after it.
pub(crate) fn is_word_of(text: &str, word: &str) -> bool {
    let part_of_name = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(start, _)| {
        let (before, rest) = text.split_at(start);
        !part_of_name(before.chars().next_back())
            && !part_of_name(rest.strip_prefix(word).and_then(|rest| rest.chars().next()))
    })
}
