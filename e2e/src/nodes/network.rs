//! The network of a node: a namespace of its own, joined to the machine by a pair of devices that can be cut.
//!
//! Pods reach the API server by the address of the Service `kubernetes`, as everywhere; the machine itself has that
//! address here, and a forwarder listens on it. So there is no kube-proxy, no firewall rule, and no other address of
//! the machine involved. A Pod's address is reached from the machine through its node.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::shell::ip;
use crate::control_plane::API_SERVICE;

/// The network of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// Counts from one.
    number: u8,
}

impl Link {
    pub(super) fn new(number: u8) -> Self {
        Self { number }
    }

    /// The name of the namespace, and of the node.
    pub(super) fn namespace(self) -> String {
        format!("{NAME}-{}", self.number)
    }

    /// The machine's end of the pair.
    fn device(self) -> String {
        format!("{DEVICE}{}", self.number)
    }

    /// The node's address.
    pub(super) fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 100 + self.number, 2)
    }

    fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 100 + self.number, 1)
    }

    /// The addresses of its Pods.
    pub(super) fn pods(self) -> String {
        format!("198.18.{}.0/24", self.number)
    }

    /// Makes the namespace and the pair.
    pub(super) fn create(self) -> Result<()> {
        let (namespace, device) = (self.namespace(), self.device());
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("link add {device} type veth peer name eth0 netns {namespace}"))?;
        ip(&format!("address add {}/24 dev {device}", self.gateway()))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {namespace} address add {}/24 dev eth0", self.address()))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        ip(&format!("-n {namespace} route add default via {}", self.gateway()))?;
        self.restore()
    }

    /// Cuts the node off: nothing comes through any more, and nobody is told.
    pub(super) fn cut(self) -> Result<()> {
        ip(&format!("link set {} down", self.device())).map(drop)
    }

    /// Joins it again. The route went with the device.
    pub(super) fn restore(self) -> Result<()> {
        ip(&format!("link set {} up", self.device()))?;
        ip(&format!("route replace {} via {}", self.pods(), self.address())).map(drop)
    }

    /// Removes what [`create`](Self::create) made, also half of it, and tells whether there was anything.
    pub(super) fn remove(self) -> Result<bool> {
        let (namespace, device) = (self.namespace(), self.device());
        let devices = ip("-brief link show type veth")?;
        let has_device =
            devices.lines().any(|line| line.split(['@', ' ']).next().is_some_and(|name| name == device));
        if has_device {
            ip(&format!("link delete {device}"))?;
        }
        let namespaces = ip("netns list")?;
        let has_namespace = namespaces.lines().any(|line| line.split(' ').next() == Some(namespace.as_str()));
        if has_namespace {
            ip(&format!("netns delete {namespace}"))?;
        }
        Ok(has_device || has_namespace)
    }
}

/// Gives the machine the address by which Pods reach the API server.
pub(super) fn add_api_address() -> Result<()> {
    ip(&format!("address add {API_SERVICE}/32 dev lo")).map(drop)
}

/// Takes it away again, and tells whether it was there.
pub(super) fn remove_api_address() -> Result<bool> {
    let there = ip("-brief address show dev lo")?.contains(&format!(" {API_SERVICE}/32"));
    if there {
        ip(&format!("address delete {API_SERVICE}/32 dev lo"))?;
    }
    Ok(there)
}

/// Cuts one Pod off from the API server: what that sends to the Pod is dropped, and nothing else.
pub(super) fn cut_pod(address: &str) -> Result<()> {
    ip(&format!("rule add from {API_SERVICE} to {address} blackhole")).map(drop)
}

/// Ends [`cut_pod`].
pub(super) fn restore_pod(address: &str) -> Result<()> {
    ip(&format!("rule delete from {API_SERVICE} to {address} blackhole")).map(drop)
}

/// Ends every [`cut_pod`], and tells how many there were.
pub(super) fn restore_all_pods() -> Result<usize> {
    let rules = ip("rule show")?;
    let to = format!("from {API_SERVICE} to ");
    let cut: Vec<_> = rules.lines().filter_map(|rule| rule.split_once(&to)?.1.split(' ').next()).collect();
    for address in &cut {
        restore_pod(address)?;
    }
    Ok(cut.len())
}

/// Nodes and their namespaces are called this, with a number.
const NAME: &str = "leasehold-node";
/// Devices are called this, with a number; a device's name has at most 15 characters.
const DEVICE: &str = "leasehold";
