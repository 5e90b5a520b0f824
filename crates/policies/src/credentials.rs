//! Tells credentials from settings, by names and by values. Never shows a value.

use std::sync::LazyLock;

use base64::Engine as _;
use regex::{Regex, RegexSet};

/// What a value under a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing.
    Empty,
    /// Encrypted by SOPS.
    Encrypted,
    /// Something that is to be replaced before it is used.
    Placeholder,
    /// A credential, and what says so.
    Credential(&'static str),
    /// Anything else.
    Plain,
}

/// The form in which SOPS writes an encrypted value.
static SOPS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^ENC\[AES256_GCM,data:[A-Za-z0-9+/]*={0,2},iv:[A-Za-z0-9+/]+={0,2},tag:[A-Za-z0-9+/]+={0,2},type:(str|bytes|int|float|bool|comment)\]$",
    )
    .ok()
});

/// Credentials that are known by their form. Sources: the providers' documentation of their tokens.
static KNOWN: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
        r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{36,}",
        r"\bgithub_pat_[A-Za-z0-9_]{22,}",
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        r"\bxox[abposr]-[A-Za-z0-9-]{10,}",
        r"https://hooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]+",
        r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
        r"\bAIza[0-9A-Za-z_-]{35}",
        r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"\bnpm_[A-Za-z0-9]{36}\b",
        r"\bhvs\.[A-Za-z0-9_-]{20,}",
        r"\bdop_v1_[a-f0-9]{64}\b",
        r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
        r"(?i)\bAccountKey=[A-Za-z0-9+/]{40,}",
    ])
    .ok()
});

/// A URL with a password in it.
static URL_PASSWORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@").ok());

/// Something in a file that sets something: `password: x`, `"token": "x"`, `password=x`,
/// `--requirepass x` or an element of XML.
static SETTING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"["']?([A-Za-z_][A-Za-z0-9_.-]*)(?:["']?[ \t]*[:=][ \t]*|>)(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^"'\s{}\[\],;&<>]+))"#,
    )
    .ok()
});

/// Placeholders: what templates and examples put in the place of a value.
static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)
        ^<[^<>]*>$ | ^\$\{[^{}]*\}$ | ^\$\([^()]*\)$ | ^\{\{.*\}\}$ | ^%[A-Z0-9_]+%$ | ^__.+__$ | ^@[A-Z0-9_.]+@$ | ^\$[A-Z_][A-Z0-9_]*$
        | ^change[-_\ ]?(me|it|this)[!1-9]{0,3}$ | ^replace[-_\ ]?(me|this|with)\b | ^(my[-_\ ])?placeholder | ^(to[-_\ ]?do|tbd|fixme|redacted|dummy|none|null|n/a|unset|secret[-_]here)$
        | ^your[-_\ ] | ^(insert|enter|put|set|add)[-_\ ](your|the|a|here|real)\b | ^example([-_].*)?$ | ^[x*.\-_?\#]+$
        | ^(vault|ref\+[a-z]+|op|arn:aws:secretsmanager|arn:aws:ssm|sm|gcpsm|azurekeyvault|bao):",
    )
    .ok()
});

fn is_match(regex: &LazyLock<Option<Regex>>, text: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// Whether SOPS encrypted a value.
pub(crate) fn is_encrypted(value: &str) -> bool {
    is_match(&SOPS, value)
}

/// Whether a value has the form of a credential that is known by it.
pub(crate) fn has_known_form(value: &str) -> bool {
    KNOWN.as_ref().is_some_and(|known| known.is_match(value)) || has_url_password(value)
}

/// What the value under a name is.
pub(crate) fn classify(name: &str, value: &str) -> Class {
    let value = value.trim();
    if value.is_empty() {
        return Class::Empty;
    }
    if KNOWN.as_ref().is_some_and(|known| known.is_match(value)) {
        return Class::Credential("its value has the form of one");
    }
    if has_url_password(value) {
        return Class::Credential("it is an address with a password");
    }
    let is_template = value.starts_with("{{");
    if value.contains('\n') || (value.starts_with(['{', '[']) && !is_template) {
        return classify_document(name, value);
    }
    if is_placeholder(value) {
        return Class::Placeholder;
    }
    if value.contains([';', '&']) && sets_credential(value) {
        return Class::Credential("it is a connection string with a password");
    }
    let is_number = value.len() <= 6 && value.bytes().all(|b| b.is_ascii_digit());
    let is_setting = is_number
        || matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "enabled" | "disabled"
        );
    if names_credential(name) && !is_setting {
        return Class::Credential("its name says so");
    }
    if is_random(value) && !is_about(&words(name)) {
        return Class::Credential("its value looks random");
    }
    Class::Plain
}

/// A value of several lines is a file: what it sets is looked at one by one.
fn classify_document(name: &str, text: &str) -> Class {
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Class::Plain;
    }
    if sets_credential(text) {
        return Class::Credential("it is a file that sets one");
    }
    let is_text = text.lines().count() <= 2;
    if names_credential(name) && is_text {
        return Class::Credential("its name says so");
    }
    Class::Plain
}

/// Whether anything that a text sets is a credential.
fn sets_credential(text: &str) -> bool {
    let Some(setting) = SETTING.as_ref() else {
        return false;
    };
    setting.captures_iter(text).any(|captures| {
        let group = |i: usize| captures.get(i).map(|m| m.as_str());
        let key = group(1).unwrap_or_default();
        let value = group(2).or(group(3)).or(group(4)).unwrap_or_default();
        !value.is_empty()
            && !value.starts_with(['|', '>', '*', '#'])
            && matches!(classify_line(key, value), Class::Credential(_))
    })
}

fn classify_line(name: &str, value: &str) -> Class {
    if is_placeholder(value) {
        return Class::Placeholder;
    }
    let name = name.to_ascii_lowercase();
    // `auth` of a Docker configuration is a name and a password.
    if names_credential(&name) || matches!(name.as_str(), "auth" | "identitytoken" | "requirepass")
    {
        return classify("password", value);
    }
    Class::Plain
}

/// Whether a value is to be replaced before it is used.
fn is_placeholder(value: &str) -> bool {
    is_match(&PLACEHOLDER, value.trim_matches(['"', '\'']))
}

fn has_url_password(value: &str) -> bool {
    let Some(regex) = URL_PASSWORD.as_ref() else {
        return false;
    };
    regex
        .captures_iter(value)
        .filter_map(|captures| captures.get(1))
        .any(|password| !is_placeholder(password.as_str()))
}

/// Words that say credential wherever they stand in a name.
const WORDS: &[&str] = &[
    "apikey",
    "credential",
    "credentials",
    "dockercfg",
    "dockerconfigjson",
    "htpasswd",
    "kennwort",
    "mdp",
    "motdepasse",
    "pass",
    "passphrase",
    "passwort",
    "passwd",
    "password",
    "passwords",
    "privatekey",
    "pwd",
    "secret",
    "secrets",
    "secretkey",
    "accesskey",
    "token",
    "tokens",
];

/// Pairs of words that say it together.
const PAIRS: &[(&str, &str)] = &[
    ("access", "key"),
    ("account", "key"),
    ("api", "key"),
    ("auth", "key"),
    ("connection", "string"),
    ("client", "key"),
    ("encryption", "key"),
    ("hmac", "key"),
    ("server", "key"),
    ("session", "key"),
    ("license", "key"),
    ("master", "key"),
    ("private", "key"),
    ("signing", "key"),
    ("storage", "key"),
    ("tls", "key"),
];

/// Last words that say that a name is about a credential, and not one.
const ABOUT: &[&str] = &[
    "algorithm",
    "audience",
    "backend",
    "class",
    "count",
    "days",
    "duration",
    "enabled",
    "endpoint",
    "engine",
    "expiration",
    "expire",
    "expires",
    "expiry",
    "field",
    "file",
    "files",
    "format",
    "hasher",
    "header",
    "host",
    "hours",
    "id",
    "interval",
    "issuer",
    "iterations",
    "kind",
    "length",
    "lifetime",
    "limit",
    "manager",
    "max",
    "min",
    "minutes",
    "mode",
    "name",
    "namespace",
    "path",
    "policy",
    "port",
    "prefix",
    "provider",
    "ref",
    "region",
    "rotation",
    "rounds",
    "seconds",
    "size",
    "store",
    "suffix",
    "timeout",
    "ttl",
    "type",
    "uri",
    "url",
    "user",
    "username",
    "version",
];

/// Whether a name says that it holds a credential.
pub(crate) fn names_credential(name: &str) -> bool {
    let words = words(name);
    let is =
        |word: Option<&String>, what: &[&str]| word.is_some_and(|w| what.contains(&w.as_str()));
    // `existingSecret` names one, and `MAX_TOKENS` counts something else.
    if is_about(&words) || is(words.first(), &["existing", "max", "min", "num"]) {
        return false;
    }
    words.iter().any(|word| {
        WORDS.contains(&word.as_str())
            // `dbpassword`, `mypassword`: nothing else ends like this.
            || ["password", "passwd", "apikey", "secretkey"].iter().any(|end| word.ends_with(end))
    }) || words
        .windows(2)
        .any(|pair| PAIRS.contains(&(pair[0].as_str(), pair[1].as_str())))
}

/// Whether the last word of a name says that it is about something, not the thing itself.
fn is_about(words: &[String]) -> bool {
    words
        .last()
        .is_some_and(|last| ABOUT.contains(&last.as_str()))
}

/// The words of a name: `dbPassword`, `DB_PASSWORD` and `db-password` are two each.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before_is_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before_is_lower) {
            words.push(std::mem::take(&mut word));
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
        before_is_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a value looks like the output of a random generator: long, without spaces or structure,
/// and with many different characters.
fn is_random(value: &str) -> bool {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let has = |test: fn(&char) -> bool| value.chars().any(|c| test(&c));
    let is_mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
    let is_hex = value.chars().all(|c| c.is_ascii_hexdigit());
    // Commits have names of forty digits.
    let is_commit = is_hex && value.len() == 40;
    let is_path = value.starts_with('/') || value.matches('/').count() > 2;
    let has_words = value.split(['-', '_']).count() > 3;
    if value.len() < 24
        || !value.chars().all(of_base64)
        || !is_mixed
        || is_path
        || has_words
        || is_commit
    {
        return false;
    }
    entropy(value) > if is_hex { 3.2 } else { 4.0 }
}

/// Shannon's entropy in bits a character.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn entropy(text: &str) -> f64 {
    let mut counts = [0usize; 256];
    for byte in text.bytes() {
        counts[byte as usize] += 1;
    }
    let total = text.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = *count as f64 / total;
            -share * share.log2()
        })
        .sum()
}

/// The text of base64 `data`; what is no base64 is taken as it is.
pub(crate) fn decoded(data: &str) -> String {
    let compact: String = data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    match base64::engine::general_purpose::STANDARD.decode(compact) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => data.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert!(SOPS.is_some() && KNOWN.is_some() && URL_PASSWORD.is_some());
        assert!(SETTING.is_some() && PLACEHOLDER.is_some());
    }

    #[test]
    fn names_that_hold_and_names_that_only_speak_of_credentials() {
        for name in [
            "password",
            "DB_PASSWORD",
            "dbPassword",
            "api-key",
            "apiKey",
            "API_KEY",
            "tls.key",
            ".dockerconfigjson",
            "ssh-privatekey",
            "clientSecret",
            "TOKEN",
            "aws_secret_access_key",
            "postgrespassword",
            "connectionString",
            "auth.htpasswd",
        ] {
            assert!(names_credential(name), "{name}");
        }
        for name in [
            "username",
            "TOKEN_URL",
            "PASSWORD_FILE",
            "secretName",
            "tls.crt",
            "ca.crt",
            "key",
            "monkey",
            "AWS_ACCESS_KEY_ID",
            "log-level",
            "passenger",
            "tokenizer",
            "config.yaml",
            "secretStore",
            "password_length",
        ] {
            assert!(!names_credential(name), "{name}");
        }
    }

    #[test]
    fn values_are_told_apart() {
        let credential =
            |name: &str, value: &str| matches!(classify(name, value), Class::Credential(_));
        for (name, value) in [
            ("password", "hunter2"),
            ("x", "AKIAIOSFODNN7EXAMPLE"),
            ("x", "postgres://app:hunter2@db/shop"),
            ("x", "-----BEGIN RSA PRIVATE KEY-----\nabc"),
            (
                "x",
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
            ("x", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzQ83kd02"),
            (
                ".dockerconfigjson",
                r#"{"auths": {"ghcr.io": {"auth": "YWRtaW46aHVudGVyMg=="}}}"#,
            ),
            ("config.yaml", "server:\n  host: db\n  password: hunter2\n"),
            ("settings.json", r#"{"user": "x", "password": "hunter2"}"#),
        ] {
            assert!(credential(name, value), "{name}");
        }
        for value in [
            "CHANGEME",
            "change-me",
            "${DB_PASSWORD}",
            "<path:secret/data/x#y>",
            "<password>",
            "{{ .Values.password }}",
            "your-password",
            "xxxx",
            "replace-me",
            "$(PASSWORD)",
            "example-password",
            "********",
        ] {
            assert_eq!(classify("password", value), Class::Placeholder, "{value}");
        }
        for (name, value) in [
            ("username", "app"),
            ("url", "https://db.example.com:5432/shop"),
            ("url", "postgres://app:${PASSWORD}@db/shop"),
            (
                "ca.crt",
                "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            ),
            (
                "config.yaml",
                "server:\n  host: db\n  passwordFile: /etc/x\n",
            ),
            ("password.enabled", "x"),
            ("token", "true"),
            ("MAX_TOKENS", "4096"),
            ("ACCESS_TOKEN_EXPIRE_MINUTES", "30"),
            ("existingSecret", "db"),
            ("PASSWORD_HASHER", "argon2"),
            ("password", "vault:secret/data/x#y"),
            ("commit", "5a105e8b9d40e1329780d62ea2265d8a5a105e8b"),
            ("image", "registry.example.com/team/app-frontend-service"),
        ] {
            assert!(!credential(name, value), "{name}: {value}");
        }
        assert_eq!(classify("password", " \n"), Class::Empty);
        assert!(is_encrypted(
            "ENC[AES256_GCM,data:aGk=,iv:abc=,tag:abc=,type:str]"
        ));
        assert!(!is_encrypted("ENC[hunter2]"));
    }
}
