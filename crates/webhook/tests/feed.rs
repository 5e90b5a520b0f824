//! A kind that is followed on an API server that speaks the real protocol, in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use stagegate_webhook::{Feed, FeedLimits, Trouble};
use tokio::sync::{Notify, mpsc};

const LONG: Duration = Duration::from_secs(10);

/// An API server with ConfigMaps.
#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Cluster>>);

#[derive(Default)]
struct Cluster {
    version: u64,
    objects: BTreeMap<String, Value>,
    /// What happened, by version.
    events: Vec<(u64, Value)>,
    /// Versions up to this one are forgotten.
    forgotten: u64,
    /// Who asks for them is refused, and not told in the watch.
    refuses_old: bool,
    /// What every request is answered, if it is not served.
    refuses: Option<u16>,
    watches: Vec<mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>>,
    pages: usize,
}

fn config_map(name: &str, version: u64, text: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "resourceVersion": version.to_string(),
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"},
        },
        "data": {"text": text},
        "status": {"large": "x"},
    })
}

fn line(event: &Value) -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(Bytes::from(format!("{event}\n"))))
}

fn typed(object: &Value) -> Value {
    let mut object = object.clone();
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("ConfigMap");
    object
}

impl ApiServer {
    fn change(&self, what: &str, name: &str, text: &str) {
        let mut cluster = self.0.lock().unwrap();
        cluster.version += 1;
        let version = cluster.version;
        let object = config_map(name, version, text);
        if what == "DELETED" {
            cluster.objects.remove(name);
        } else {
            cluster.objects.insert(name.to_owned(), object.clone());
        }
        let event = json!({"type": what, "object": typed(&object)});
        cluster.events.push((version, event.clone()));
        cluster
            .watches
            .retain(|watch| watch.send(line(&event)).is_ok());
    }

    /// Ends all watches, in the middle of a line where `torn`.
    fn hang_up(&self, torn: bool) {
        let watches = std::mem::take(&mut self.0.lock().unwrap().watches);
        for watch in watches.iter().filter(|_| torn) {
            let _ = watch.send(Ok(Frame::data(Bytes::from_static(b"{\"type\": \"ADD"))));
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Cluster) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    async fn serve(&self) -> kube::Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/api/v1/configmaps", get(config_maps))
            .with_state(self.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
                );
            }
        });
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        kube::Client::try_from(config).unwrap()
    }
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
           "reason": "Expired", "message": "no"})
}

async fn config_maps(
    State(server): State<ApiServer>,
    Query(query): Query<HashMap<String, String>>,
) -> Response<Body> {
    let answer = |code: u16, body: Value| {
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(code).unwrap();
        response
    };
    let mut cluster = server.0.lock().unwrap();
    if let Some(code) = cluster.refuses {
        return answer(code, status(code));
    }
    if query.get("watch").is_some_and(|watch| watch == "true") {
        assert_eq!(query["allowWatchBookmarks"], "true");
        let from: u64 = query["resourceVersion"].parse().unwrap();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        if from < cluster.forgotten && cluster.refuses_old {
            return answer(410, status(410));
        }
        if from < cluster.forgotten {
            let gone = json!({"type": "ERROR", "object": status(410)});
            sender.send(line(&gone)).unwrap();
        } else {
            for (_, event) in cluster.events.iter().filter(|(version, _)| *version > from) {
                sender.send(line(event)).unwrap();
            }
            cluster.watches.push(sender);
        }
        let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        return Response::new(Body::new(StreamBody::new(frames)));
    }
    let limit: usize = query["limit"].parse().unwrap();
    let skip: usize = query
        .get("continue")
        .map_or(0, |token| token.parse().unwrap());
    let items: Vec<&Value> = cluster.objects.values().skip(skip).take(limit).collect();
    let rest = cluster.objects.len() > skip + limit;
    let token = if rest {
        (skip + limit).to_string()
    } else {
        String::new()
    };
    let list = json!({
        "kind": "ConfigMapList", "apiVersion": "v1", "items": items,
        "metadata": {"resourceVersion": cluster.version.to_string(), "continue": token},
    });
    cluster.pages += 1;
    answer(200, list)
}

fn feed() -> Arc<Feed> {
    let resource = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        plural: "configmaps".to_owned(),
    };
    let limits = FeedLimits {
        page: 2,
        silence: Duration::from_millis(500),
        pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(50),
    };
    Arc::new(Feed::new(resource, limits, Arc::new(Notify::new())))
}

/// Names and texts of what is there.
fn seen(feed: &Feed) -> Vec<(String, String)> {
    let objects = feed.objects();
    let seen = objects.iter().map(|object| {
        let text = object.node.path(&["data", "text"]).unwrap();
        (
            object.reference.name.clone(),
            text.as_str().unwrap().to_owned(),
        )
    });
    seen.collect()
}

/// Waits for something, which must come.
#[track_caller]
fn until(is_there: impl Fn() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !is_there() {
            assert!(began.elapsed() < LONG, "{place}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn becomes(feed: &Feed, expected: &[(&str, &str)]) {
    let began = Instant::now();
    loop {
        let seen = seen(feed);
        let now: Vec<(&str, &str)> = seen.iter().map(|(a, b)| (&**a, &**b)).collect();
        if now == expected && feed.is_synced() {
            return;
        }
        assert!(began.elapsed() < LONG, "{now:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_changes_is_known_and_what_is_large_is_not_kept() {
    let server = ApiServer::default();
    for name in ["a", "b", "c", "d", "e"] {
        server.change("ADDED", name, "1");
    }
    let feed = feed();
    assert!(!feed.is_synced() && feed.age().is_none());
    let client = server.serve().await;
    let own = Arc::clone(&feed);
    let following = tokio::spawn(async move { own.follow(client).await });
    becomes(
        &feed,
        &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")],
    )
    .await;
    assert_eq!(server.with(|cluster| cluster.pages), 3);
    server.change("MODIFIED", "b", "2");
    server.change("DELETED", "c", "");
    server.change("ADDED", "f", "1");
    becomes(
        &feed,
        &[("a", "1"), ("b", "2"), ("d", "1"), ("e", "1"), ("f", "1")],
    )
    .await;
    assert_eq!(feed.lists(), 1);
    for object in feed.objects() {
        let has = |path: &[&str]| object.node.path(path).is_some();
        assert_eq!(
            object.reference.to_string(),
            format!("ConfigMap shop/{}", object.reference.name)
        );
        assert!(has(&["metadata", "annotations", "a"]));
        assert!(!has(&["metadata", "managedFields"]) && !has(&["status"]));
        assert!(!has(&[
            "metadata",
            "annotations",
            "kubectl.kubernetes.io/last-applied-configuration"
        ]));
    }
    following.abort();
}

/// A watch that ends is taken up where it ended, torn or whole; one that is too old, and one that says
/// nothing, are followed by a list.
#[tokio::test]
async fn watches_that_end_lose_nothing() {
    let server = ApiServer::default();
    server.change("ADDED", "a", "1");
    let feed = feed();
    let client = server.serve().await;
    let own = Arc::clone(&feed);
    let following = tokio::spawn(async move { own.follow(client).await });
    becomes(&feed, &[("a", "1")]).await;
    let mut texts = 1;
    for torn in [false, true, false, true] {
        until(|| server.with(|cluster| !cluster.watches.is_empty())).await;
        server.hang_up(torn);
        texts += 1;
        let text = texts.to_string();
        server.change("MODIFIED", "a", &text);
        becomes(&feed, &[("a", &text)]).await;
    }
    assert_eq!(feed.lists(), 1, "nothing was listed again");
    // What happened meanwhile is forgotten: it is listed. That is no trouble.
    for (lists, refuses_old, text) in [(2, false, "x"), (3, true, "y")] {
        server.with(|cluster| {
            cluster.version += 10;
            cluster.forgotten = cluster.version;
            cluster.refuses_old = refuses_old;
            let version = cluster.version;
            let object = config_map("a", version, text);
            cluster.objects.insert("a".to_owned(), object);
        });
        server.hang_up(false);
        becomes(&feed, &[("a", text)]).await;
        assert_eq!((feed.lists(), feed.trouble()), (lists, None));
    }
    server.with(|cluster| cluster.objects.clear());
    // A watch that is silent for longer than bookmarks take is dead.
    server.with(|cluster| {
        cluster.version += 1;
        let version = cluster.version;
        cluster
            .objects
            .insert("g".to_owned(), config_map("g", version, "1"));
    });
    becomes(&feed, &[("g", "1")]).await;
    assert!(feed.lists() > 3);
    following.abort();
}

#[tokio::test]
async fn bookmarks_keep_it_young() {
    let server = ApiServer::default();
    let feed = feed();
    let client = server.serve().await;
    let own = Arc::clone(&feed);
    let following = tokio::spawn(async move { own.follow(client).await });
    becomes(&feed, &[]).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.with(|cluster| {
            cluster.version += 1;
            let bookmark = json!({"type": "BOOKMARK", "object": {
                "kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {"resourceVersion": cluster.version.to_string()},
            }});
            for watch in &cluster.watches {
                let _ = watch.send(line(&bookmark));
            }
        });
        assert!(feed.age().unwrap() < Duration::from_millis(400));
    }
    assert_eq!(feed.lists(), 1);
    following.abort();
}

/// What may not be seen, or is not there, is told as what it is, and found once it can be.
#[tokio::test]
async fn what_cannot_be_watched_is_told_and_found_later() {
    let server = ApiServer::default();
    server.change("ADDED", "a", "1");
    let feed = feed();
    let client = server.serve().await;
    let own = Arc::clone(&feed);
    server.with(|cluster| cluster.refuses = Some(403));
    let following = tokio::spawn(async move { own.follow(client).await });
    for (refuses, trouble) in [
        (403, Trouble::Forbidden),
        (404, Trouble::Missing),
        (500, Trouble::Unreachable),
    ] {
        server.with(|cluster| cluster.refuses = Some(refuses));
        until(|| feed.trouble() == Some(trouble)).await;
        assert!(!feed.is_synced());
    }
    server.with(|cluster| cluster.refuses = None);
    becomes(&feed, &[("a", "1")]).await;
    assert_eq!(feed.trouble(), None);
    // Taken away again: what was known stays.
    server.with(|cluster| cluster.refuses = Some(403));
    server.hang_up(false);
    until(|| feed.trouble() == Some(Trouble::Forbidden)).await;
    becomes(&feed, &[("a", "1")]).await;
    following.abort();
}
