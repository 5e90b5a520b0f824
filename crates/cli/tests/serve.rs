//! The real webhook, in a process of its own and a scrubbed environment.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(20);

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A webhook that runs.
struct Webhook {
    child: Child,
    address: String,
    admin: String,
    logs: Arc<Mutex<String>>,
    pki: Arc<Pki>,
}

/// A CA and a certificate for this machine.
struct Pki {
    folder: TempDir,
    client: Arc<ClientConfig>,
}

fn pki() -> Arc<Pki> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(Pki {
        folder,
        client: Arc::new(client),
    })
}

/// The command, without what is asked of it.
fn command(pki: &Pki, bind: &str, arguments: &[&str]) -> Vec<String> {
    let file = |name: &str| pki.folder.path().join(name).to_string_lossy().into_owned();
    let mut command = vec![
        env!("CARGO_BIN_EXE_stagegate").to_owned(),
        "serve".to_owned(),
        format!("--bind={bind}"),
        "--admin-bind=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", file("tls.crt")),
        format!("--tls-key={}", file("tls.key")),
    ];
    command.extend(arguments.iter().map(|a| (*a).to_owned()));
    command
}

impl Webhook {
    fn start(arguments: &[&str]) -> Webhook {
        let pki = pki();
        let command = command(&pki, "127.0.0.1:0", arguments);
        Webhook::run(pki, &command, "info")
    }

    fn run(pki: Arc<Pki>, command: &[String], level: &str) -> Webhook {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .current_dir(project())
            .env_clear()
            .env("STAGEGATE_LOG", level)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let logs = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut serving = None;
        while serving.is_none() {
            let line = lines.next().expect("it ended").unwrap();
            let event: Json = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if event["message"] == "serving" {
                serving = Some(event);
            }
            logs.lock().unwrap().push_str(&(line + "\n"));
        }
        let own = Arc::clone(&logs);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                own.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let event = serving.unwrap();
        let address = |key: &str| event[key].as_str().unwrap().to_owned();
        Webhook {
            child,
            address: address("address"),
            admin: address("admin_address"),
            logs,
            pki,
        }
    }

    fn connect(&self) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(LONG))?;
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.pki.client), name).unwrap();
        Ok(Connection(BufReader::new(StreamOwned::new(tls, stream))))
    }

    /// Asks once, on a connection of its own.
    fn ask(&self, review: &Json) -> Json {
        self.connect()
            .unwrap()
            .review("/validate", &review.to_string())
    }

    fn admin(&self, path: &str) -> (u16, String) {
        let stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut stream = BufReader::new(stream);
        write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(&mut stream).unwrap()
    }

    fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.admin("/metrics");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    fn metric_becomes(&self, series: &str, value: f64) {
        let began = Instant::now();
        while self.metric(series) != value {
            let now = self.metric(series);
            assert!(began.elapsed() < LONG, "{series} is {now}\n{}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn told(&self) -> String {
        self.logs.lock().unwrap().clone()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn exit_code(mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < LONG, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Connection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Connection {
    fn ask(&mut self, path: &str, body: &str, header: &str) -> std::io::Result<(u16, String)> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{header}\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        self.0.get_mut().flush()?;
        answer(&mut self.0)
    }

    /// The answer to a review.
    fn review(&mut self, path: &str, body: &str) -> Json {
        let (status, body) = self.ask(path, body, "").unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// Reads an answer with a length.
fn answer(stream: &mut impl std::io::BufRead) -> std::io::Result<(u16, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head[9..12].parse().unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8(body).unwrap()))
}

/// A request to create a Pod in which nothing is wrong.
fn pod() -> Json {
    let resources = json!({"cpu": "1", "memory": "1Gi"});
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "namespace": "shop-prod",
            "userInfo": {"username": "jane"},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "api", "namespace": "shop-prod"},
                "spec": {"containers": [{
                    "name": "api", "image": "api:1",
                    "resources": {"limits": resources, "requests": resources},
                }]},
            },
        },
    })
}

const CONFIG: &str = "apiVersion: stagegate.dev/v1alpha1\nkind: Config\n";

/// The door that serves and the one that replays give the same answers, to every request that was
/// recorded from an API server.
#[test]
fn recorded_reviews_are_answered_as_replay_answers_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stagegate.yaml");
    let stages = "extends: [strict]\nstages:\n- {name: dev, namespaces: ['*-dev']}\n\
                  - {name: prod, namespaces: ['*'], after: dev}\n";
    fs::write(&config, format!("{CONFIG}{stages}")).unwrap();
    let config = config.to_string_lossy();
    let replayed = Command::new(env!("CARGO_BIN_EXE_stagegate"))
        .args(["replay", "testdata/reviews", "--format=json", "--config"])
        .arg(&*config)
        .current_dir(project())
        .env_clear()
        .output()
        .unwrap();
    let replayed: Vec<Json> = serde_json::from_slice(&replayed.stdout).unwrap();
    assert!(replayed.len() > 80);
    let webhook = Webhook::start(&["--no-cluster", "--config", &config]);
    // Two stages may claim a namespace.
    assert!(
        webhook.told().contains("it is prod then"),
        "{}",
        webhook.told()
    );
    let mut connection = webhook.connect().unwrap();
    let mut denied = 0;
    for one in &replayed {
        let file = one["file"].as_str().unwrap();
        let body = fs::read_to_string(project().join("testdata/reviews").join(file)).unwrap();
        let answer = connection.review("/validate?timeout=10s", &body);
        assert_eq!(answer, one["response"], "{file}");
        denied += usize::from(answer["response"]["allowed"] == false);
    }
    assert!(denied > 3, "{denied} denied");
    assert_eq!(
        webhook.metric("stagegate_admission_requests_in_flight"),
        0.0
    );
}

/// Whatever is logged, nothing of what is judged is in it.
#[test]
fn nothing_secret_is_ever_logged() {
    // In clear, and as Secrets hold it.
    let (clear, encoded) = ("hunter2-swordfish", "aHVudGVyMi1zd29yZGZpc2g=");
    let pki = pki();
    let command = command(&pki, "127.0.0.1:0", &["--no-cluster", "--stage=prod"]);
    let webhook = Webhook::run(pki, &command, "trace");
    let mut secret = pod();
    secret["request"]["object"] = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "api", "namespace": "shop-prod", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"stringData\":{{\"p\":\"{clear}\"}}}}"),
        }},
        "data": {"password": encoded}, "stringData": {"password": clear}, "type": "Opaque",
    });
    let mut token = pod();
    token["request"]["object"] = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
        "spec": {"token": clear},
    });
    let mut env = pod();
    env["request"]["object"]["spec"]["containers"][0]["env"] =
        json!([{"name": "DB_PASSWORD", "value": clear}]);
    env["request"]["object"]["spec"]["containers"][0]["resources"] = json!({});
    let mut connection = webhook.connect().unwrap();
    let header = format!("Authorization: Bearer {clear}\r\n");
    let mut denied = 0;
    for review in [&secret, &token, &env] {
        let body = review.to_string();
        let (status, answer) = connection.ask("/validate", &body, &header).unwrap();
        assert_eq!(status, 200);
        assert!(
            !answer.contains(clear) && !answer.contains(encoded),
            "{answer}"
        );
        denied += usize::from(answer.contains("\"allowed\":false"));
    }
    assert!(denied > 0);
    for body in [
        clear.to_owned(),
        format!("{{\"kind\": \"{clear}\"}}"),
        format!("[\"{clear}\""),
    ] {
        let (status, answer) = connection.ask("/validate", &body, &header).unwrap();
        assert_eq!(status, 400);
        assert!(!answer.contains(clear), "{answer}");
    }
    let (status, _) = connection
        .ask(&format!("/validate?timeout={clear}"), "{}", &header)
        .unwrap();
    assert_eq!(status, 400);
    webhook.signal("INT");
    std::thread::sleep(Duration::from_millis(100));
    let told = webhook.told();
    assert!(told.contains("\"decision\":\"deny\""), "{told}");
    assert!(!told.contains(clear) && !told.contains(encoded), "{told}");
}

/// Policies that would take for ever end, and the others are judged.
#[test]
fn endless_rego_is_cut_and_the_others_decide() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, body: &str| {
        let package = name.replace('-', "_");
        let text = format!(
            "# METADATA\n# title: {name}\n# custom:\n#   enforcement: deny\npackage stagegate.{package}\n\n{body}\n"
        );
        fs::write(folder.path().join(format!("{name}.rego")), text).unwrap();
    };
    write(
        "a-loop",
        "violation contains {\"msg\": \"x\"} if {\n\tsome a in numbers.range(1, 10000)\n\
         \tsome b in numbers.range(1, 10000)\n\ta * b == -1\n}",
    );
    write(
        "b-range",
        "violation contains {\"msg\": \"x\"} if count(numbers.range(1, 100000000000)) == 7",
    );
    write(
        "c-regex",
        "violation contains {\"msg\": \"x\"} if regex.match(`^(([a-z])+.)+[A-Z]([a-z])+$`, \
         concat(\"\", [\"a\" | some _ in numbers.range(1, 5000)]))",
    );
    write(
        "d-denies",
        "violation contains {\"msg\": \"no pods\", \"pointer\": \"/kind\"} if input.review.object.kind == \"Pod\"",
    );
    let policies = folder.path().to_string_lossy();
    let webhook = Webhook::start(&["--no-cluster", "--stage=prod", "--policies", &policies]);
    let mut connection = webhook.connect().unwrap();
    let began = Instant::now();
    let answer = connection.review("/validate?timeout=5s", &pod().to_string());
    assert!(began.elapsed() < Duration::from_secs(5));
    let response = answer["response"].to_string();
    assert!(response.contains("no pods"), "{response}");
    assert!(
        response.contains("a-loop: it did not come to an end"),
        "{response}"
    );
    assert!(response.contains("b-range: "), "{response}");
    let errors = r#"stagegate_policy_evaluations_total{policy="a-loop",outcome="error"}"#;
    assert_eq!(webhook.metric(errors), 1.0);
}

/// Mounts files as the kubelet mounts a ConfigMap, or what one was changed to.
fn project_into(folder: &Path, generation: usize, files: &[(&str, &str)]) {
    let own = format!("..{generation}");
    fs::create_dir(folder.join(&own)).unwrap();
    for (name, text) in files {
        fs::write(folder.join(&own).join(name), text).unwrap();
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("..data/{name}"), link).unwrap();
        }
    }
    symlink(&own, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn configuration_and_policies_change_while_it_serves() {
    let mounted = tempfile::tempdir().unwrap();
    let (config, rego) = (mounted.path().join("config"), mounted.path().join("rego"));
    fs::create_dir(&config).unwrap();
    fs::create_dir(&rego).unwrap();
    let policy = |what: &str| {
        format!(
            "# METADATA\n# title: No pods\n# custom:\n#   enforcement: deny\n\
             package stagegate.no_pods\n\nviolation contains {{\"msg\": \"{what}\", \"pointer\": \"/kind\"}} if \
             input.review.object.kind == \"Pod\"\n"
        )
    };
    let good = format!("{CONFIG}extends: [none]\npolicyDirs: [../rego]\n");
    project_into(&config, 0, &[("stagegate.yaml", &good)]);
    project_into(&rego, 0, &[("no-pods.rego", &policy("first"))]);
    let file = config.join("stagegate.yaml");
    let webhook = Webhook::start(&[
        "--no-cluster",
        "--poll=20ms",
        "--config",
        &file.to_string_lossy(),
    ]);
    let told = || webhook.ask(&pod())["response"].to_string();
    assert!(told().contains("first"));
    let reloads = |result: &str| format!("stagegate_policy_reloads_total{{result=\"{result}\"}}");
    project_into(&rego, 1, &[("no-pods.rego", &policy("second"))]);
    webhook.metric_becomes(&reloads("success"), 1.0);
    assert!(told().contains("second"));
    // A syntax error, an unknown key, a type that is wrong, and far too much of it.
    let broken = policy("x").replace("if ", "if if ");
    let huge = format!("{}{}", policy("x"), "# x\n".repeat(3_000_000));
    project_into(&rego, 2, &[("no-pods.rego", &broken)]);
    webhook.metric_becomes(&reloads("failure"), 1.0);
    assert!(told().contains("second"));
    project_into(&rego, 3, &[("no-pods.rego", &policy("third"))]);
    webhook.metric_becomes(&reloads("success"), 2.0);
    project_into(
        &config,
        1,
        &[("stagegate.yaml", &format!("{good}polices: {{}}\n"))],
    );
    webhook.metric_becomes(&reloads("failure"), 2.0);
    project_into(
        &config,
        2,
        &[("stagegate.yaml", &format!("{good}stages: 7\n"))],
    );
    webhook.metric_becomes(&reloads("failure"), 3.0);
    assert!(told().contains("third"));
    let logs = webhook.told();
    assert!(logs.contains("did you mean `policies`?"), "{logs}");
    assert!(
        logs.contains("the policies that judged before stay"),
        "{logs}"
    );
    project_into(&config, 3, &[("stagegate.yaml", &good)]);
    webhook.metric_becomes(&reloads("success"), 3.0);
    project_into(&rego, 4, &[("no-pods.rego", &huge)]);
    let began = Instant::now();
    while webhook.metric(&reloads("success")) + webhook.metric(&reloads("failure")) < 7.0 {
        assert!(began.elapsed() < LONG);
        assert_eq!(webhook.admin("/livez").0, 200);
        assert!(told().contains("\"allowed\":false"));
    }
    assert_eq!(webhook.admin("/readyz").0, 200);
}

/// With as few descriptors as there may be, health is told, nothing spins, and it goes on once there
/// are some again.
#[test]
fn few_descriptors_are_no_reason_to_spin() {
    let pki = pki();
    let serve = command(&pki, "127.0.0.1:0", &["--no-cluster"]).join(" ");
    let limited = vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        format!("ulimit -n 120; exec {serve}"),
    ];
    let webhook = Webhook::run(pki, &limited, "info");
    // More than there are descriptors for, a part of which waits in the system's queue.
    let silent: Vec<TcpStream> = (0..400)
        .filter_map(|_| TcpStream::connect(&webhook.address).ok())
        .collect();
    assert_eq!(silent.len(), 400);
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", webhook.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
        fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
    };
    assert_eq!(webhook.admin("/livez").0, 200);
    if cfg!(target_os = "linux") {
        let before = ticks();
        std::thread::sleep(Duration::from_secs(1));
        let used = ticks() - before;
        assert!(used < 40, "{used} ticks of 100");
    }
    assert_eq!(webhook.admin("/livez").0, 200);
    drop(silent);
    assert_eq!(webhook.ask(&pod())["response"]["allowed"], true);
}

/// One of two replicas is killed while both are asked: only what it was answering is lost, and its
/// successor answers soon.
#[test]
fn a_replica_that_is_killed_takes_nothing_along() {
    let pki = pki();
    let start = |bind: &str| {
        let command = command(&pki, bind, &["--no-cluster"]);
        Webhook::run(Arc::clone(&pki), &command, "warn,stagegate_webhook=info")
    };
    let (mut first, second) = (start("127.0.0.1:0"), start("127.0.0.1:0"));
    let address = first.address.clone();
    let body = pod().to_string();
    let mut connections = [first.connect().unwrap(), second.connect().unwrap()];
    for connection in &mut connections {
        connection.review("/validate", &body);
    }
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let mut lost = 0;
    for _ in 0..50 {
        // A client that loses one connection goes to the other replica, as an API server does.
        let [one, other] = &mut connections;
        if one.ask("/validate", &body, "").is_err() {
            lost += 1;
        }
        other.review("/validate", &body);
    }
    assert_eq!(lost, 50);
    let began = Instant::now();
    let third = start(&address);
    assert_eq!(third.ask(&pod())["response"]["allowed"], true);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn signals_end_it_and_mistakes_keep_it_from_beginning() {
    let webhook = Webhook::start(&["--no-cluster", "--shutdown-delay=300ms"]);
    assert_eq!(webhook.admin("/readyz"), (200, "ok\n".to_owned()));
    let began = Instant::now();
    webhook.signal("TERM");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(webhook.admin("/readyz").0, 503);
    assert_eq!(webhook.ask(&pod())["response"]["allowed"], true);
    assert_eq!(webhook.exit_code(), Some(0));
    assert!(began.elapsed() >= Duration::from_millis(300));
    let webhook = Webhook::start(&["--no-cluster", "--shutdown-delay=1h"]);
    webhook.signal("TERM");
    std::thread::sleep(Duration::from_millis(100));
    webhook.signal("TERM");
    assert_eq!(webhook.exit_code(), Some(1));

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stagegate.yaml");
    let selector = "stages: [{name: prod, namespaceSelector: {matchLabels: {tier: prod}}}]\n";
    fs::write(&config, format!("{CONFIG}{selector}")).unwrap();
    let config = config.to_string_lossy();
    let pki = pki();
    for (arguments, message) in [
        (&[][..], "--no-cluster"),
        (
            &["--no-cluster", "--config", &config][..],
            "namespaceSelector",
        ),
        (&["--no-cluster", "--config=/nowhere"][..], "/nowhere"),
        (
            &["--no-cluster", "--tls-key=/nowhere"][..],
            "cannot be used multiple times",
        ),
        (
            &["--no-cluster", "--timeout=soon"][..],
            "expected a duration",
        ),
        (
            &["--no-cluster", "--client-ca=/nowhere"][..],
            "cannot read /nowhere",
        ),
    ] {
        let command = command(&pki, "127.0.0.1:0", arguments);
        let output = Command::new(&command[0])
            .args(&command[1..])
            .env_clear()
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(message), "{told}");
    }
}
