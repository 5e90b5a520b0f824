//! What a cluster holds of one kind, kept up to date by a list and a watch.
//!
//! The protocol is that of "Efficient detection of changes" in the Kubernetes documentation: a list gives
//! all objects and a version, a watch gives what changes from there. A version that is too old (410), and
//! a watch that says nothing for longer than bookmarks may take, mean another list. Until it has come, what
//! was known before counts: a policy that looks at it is told how old it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kube::api::{ListParams, WatchParams};
use kube::core::{DynamicObject, WatchEvent};
use kube::discovery::ApiResource;
use kube::{Api, Client};
use stagegate_core::{Node, Object, Origin, Value};
use tokio::sync::Notify;

/// How a kind is followed.
#[derive(Clone, Debug)]
pub struct FeedLimits {
    /// How many objects are asked for at once.
    pub page: u32,
    /// For how long a watch may say nothing. An API server sends a bookmark about every minute.
    pub silence: Duration,
    /// How long to wait after a first failure; doubled after each further one.
    pub pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
}

impl Default for FeedLimits {
    fn default() -> Self {
        FeedLimits {
            page: 500,
            silence: Duration::from_secs(180),
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// Why nothing is heard of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such kind, or not yet.
    Missing,
    /// It may not be listed and watched.
    Forbidden,
    /// The API server does not answer, or not as it should.
    Unreachable,
}

/// The objects of one kind.
pub struct Feed {
    resource: ApiResource,
    limits: FeedLimits,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// By namespace and name.
    objects: BTreeMap<(String, String), Arc<Object>>,
    is_synced: bool,
    heard: Option<Instant>,
    trouble: Option<Trouble>,
    lists: u64,
}

/// What ends a watch.
enum Ended {
    /// What comes next can be asked for.
    At(String),
    /// Everything has to be asked for again.
    Gone,
}

impl Feed {
    /// Of a kind. `changed` is told whenever there is something new.
    pub fn new(resource: ApiResource, limits: FeedLimits, changed: Arc<Notify>) -> Feed {
        Feed {
            resource,
            limits,
            state: Mutex::default(),
            changed,
        }
    }

    /// The kind.
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// Whether everything has been listed once.
    pub fn is_synced(&self) -> bool {
        self.state().is_synced
    }

    /// How long nothing has been heard; none before the first list.
    pub fn age(&self) -> Option<Duration> {
        self.state().heard.map(|heard| heard.elapsed())
    }

    /// Why nothing is heard, if nothing is.
    pub fn trouble(&self) -> Option<Trouble> {
        self.state().trouble
    }

    /// How often everything was listed.
    pub fn lists(&self) -> u64 {
        self.state().lists
    }

    /// What there is, sorted by namespace and name.
    pub fn objects(&self) -> Vec<Arc<Object>> {
        self.state().objects.values().map(Arc::clone).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the kind, for ever.
    pub async fn follow(&self, client: Client) {
        let api: Api<DynamicObject> = Api::all_with(client, &self.resource);
        let mut pause = self.limits.pause;
        loop {
            match self.list(&api).await {
                Ok(version) => {
                    pause = self.limits.pause;
                    self.watch(&api, version).await;
                }
                Err(error) => self.fail(&error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.limits.longest_pause);
        }
    }

    /// Lists everything, page by page, and takes it for what there is. Gives its version.
    async fn list(&self, api: &Api<DynamicObject>) -> Result<String, kube::Error> {
        let mut objects = BTreeMap::new();
        let mut params = ListParams::default().limit(self.limits.page);
        loop {
            let page = api.list(&params).await?;
            for object in page.items {
                if let Some((key, object)) = self.stored(object) {
                    objects.insert(key, object);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => {
                    self.heard(|state| {
                        state.objects = objects;
                        state.is_synced = true;
                        state.lists += 1;
                    });
                    self.changed.notify_one();
                    return Ok(page.metadata.resource_version.unwrap_or_default());
                }
            }
        }
    }

    /// Watches from a version on, until everything has to be listed again.
    async fn watch(&self, api: &Api<DynamicObject>, version: String) {
        let mut version = version;
        let mut failures = 0;
        // A server that ends watches at once is asked for everything again after some.
        while failures < 5 {
            let began = Instant::now();
            match self.watch_once(api, version.clone()).await {
                Ok(Ended::At(next)) => {
                    if next == version && began.elapsed() < self.limits.pause {
                        failures += 1;
                        tokio::time::sleep(self.limits.pause).await;
                    } else {
                        failures = 0;
                    }
                    version = next;
                }
                Ok(Ended::Gone) => return,
                // Too old a version may be refused before the watch begins.
                Err(kube::Error::Api(status)) if status.code == 410 => return,
                Err(error) => {
                    self.fail(&error);
                    return;
                }
            }
        }
    }

    async fn watch_once(
        &self,
        api: &Api<DynamicObject>,
        version: String,
    ) -> Result<Ended, kube::Error> {
        let params = WatchParams::default();
        let mut events = api.watch(&params, &version).await?.boxed();
        let mut version = version;
        loop {
            let Ok(event) = tokio::time::timeout(self.limits.silence, events.next()).await else {
                // The connection is dead, and nobody has said so.
                return Ok(Ended::Gone);
            };
            let Some(event) = event else {
                return Ok(Ended::At(version));
            };
            let event = match event {
                Ok(event) => event,
                // It broke off in the middle; what was heard before counts.
                Err(_) => return Ok(Ended::At(version)),
            };
            let mut newer = |found: Option<String>| {
                if let Some(found) = found {
                    version = found;
                }
            };
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    newer(object.metadata.resource_version.clone());
                    self.put(object);
                }
                WatchEvent::Deleted(object) => {
                    newer(object.metadata.resource_version.clone());
                    self.remove(&object);
                }
                WatchEvent::Bookmark(bookmark) => {
                    newer(Some(bookmark.metadata.resource_version));
                    self.heard(|_| {});
                }
                WatchEvent::Error(status) if status.code == 410 => return Ok(Ended::Gone),
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            }
        }
    }

    fn put(&self, object: DynamicObject) {
        if let Some((key, object)) = self.stored(object) {
            self.heard(|state| {
                state.objects.insert(key, object);
            });
            self.changed.notify_one();
        }
    }

    fn remove(&self, object: &DynamicObject) {
        let key = key(object);
        self.heard(|state| {
            state.objects.remove(&key);
        });
        self.changed.notify_one();
    }

    fn heard(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.heard = Some(Instant::now());
        state.trouble = None;
    }

    fn fail(&self, error: &kube::Error) {
        let trouble = match error {
            kube::Error::Api(status) if status.code == 404 => Trouble::Missing,
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => Trouble::Forbidden,
            _ => Trouble::Unreachable,
        };
        let before = self.state().trouble.replace(trouble);
        if before != Some(trouble) {
            let kind = &self.resource.kind;
            tracing::warn!(kind, ?trouble, "cannot watch a kind");
            self.changed.notify_one();
        }
    }

    /// An object as policies look at it: without what no policy reads and what is large.
    fn stored(&self, object: DynamicObject) -> Option<((String, String), Arc<Object>)> {
        const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
        let key = key(&object);
        let mut object = object;
        object.metadata.managed_fields = None;
        if let Some(annotations) = &mut object.metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
        // The items of a list do not say what they are.
        object.types.get_or_insert_with(|| kube::core::TypeMeta {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
        });
        let json = serde_json::to_value(object).ok()?;
        let mut node: Node = serde_json::from_value(json).ok()?;
        if let Value::Object(map) = &mut node.value {
            map.remove("status");
        }
        let object = Object::new(node, Arc::<Origin>::default())?;
        Some((key, Arc::new(object)))
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    let metadata = &object.metadata;
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}
