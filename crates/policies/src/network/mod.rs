pub(crate) mod network_policy;
