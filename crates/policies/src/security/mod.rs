pub(crate) mod plain_secret;
