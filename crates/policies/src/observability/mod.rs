pub(crate) mod prometheus_labels;
