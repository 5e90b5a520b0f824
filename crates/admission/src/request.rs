//! What the API server asks.

use std::sync::Arc;

use serde::Deserialize;
use stagegate_core::{Entry, MAX_DEPTH, Mark, Node, Object, Operation, Review, Str, Value};

/// A request to judge, decoded.
#[derive(Debug)]
pub struct AdmissionRequest {
    /// `admission.k8s.io/v1` or `v1beta1`; the answer carries the same.
    pub api_version: String,
    /// Names the request; the answer carries the same.
    pub uid: String,
    /// What is to be done.
    pub operation: Operation,
    /// The name of the object; empty where nothing names it yet.
    pub name: String,
    /// The namespace; empty for what has none.
    pub namespace: String,
    /// `status`, `scale`, …; empty for the object itself.
    pub subresource: String,
    /// The full name of who asks.
    pub user: String,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// The object as it would be.
    pub object: Option<Object>,
    /// The object as it is.
    pub old_object: Option<Object>,
}

/// Why a body is no request. Nothing of the body is repeated: it may hold a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, nested too deep, or not of the form of an AdmissionReview.
    #[error("not an AdmissionReview: {problem} at line {line}, column {column}")]
    Json {
        /// What is wrong, without any of the text.
        problem: &'static str,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// Another kind, or a version that is not known.
    #[error("not an AdmissionReview of admission.k8s.io/v1 or v1beta1")]
    Kind,
    /// Nested deeper than the limit that both doors share.
    #[error("not an AdmissionReview: nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// What is to be created or changed is no object, or names no kind.
    #[error("the request's object has no apiVersion and kind")]
    Object,
    /// An AdmissionReview without a request, such as an answer.
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    operation: Verb,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    user_info: UserInfo,
    dry_run: Option<bool>,
    object: Option<Node>,
    old_object: Option<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    Create,
    Update,
    Delete,
    Connect,
    #[serde(other)]
    Other,
}

#[derive(Default, Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: String,
}

impl AdmissionRequest {
    /// Reads the body of a request to the webhook.
    ///
    /// # Errors
    /// If it is no request, or nested deeper than the limit that both doors share.
    pub fn decode(body: &[u8]) -> Result<AdmissionRequest, DecodeError> {
        if is_too_deep(body) {
            return Err(DecodeError::TooDeep);
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        // Nodes bound their own depth, and nothing else in a review nests.
        json.disable_recursion_limit();
        let review = Body::deserialize(&mut json).and_then(|r| json.end().map(|()| r));
        let review = review.map_err(|error| DecodeError::Json {
            problem: match error.classify() {
                serde_json::error::Category::Data => "a field has the wrong form",
                serde_json::error::Category::Eof => "the text ends too early",
                _ => "the text is not JSON",
            },
            line: error.line(),
            column: error.column(),
        })?;
        let known = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
        if review.kind != "AdmissionReview" || !known.contains(&review.api_version.as_str()) {
            return Err(DecodeError::Kind);
        }
        let request = review.request.ok_or(DecodeError::NoRequest)?;
        let namespace = request.namespace.unwrap_or_default();
        let object = |node: Option<Node>| match node {
            None => Ok(None),
            Some(node) => Object::new(in_namespace(node, &namespace), Arc::default())
                .map(Some)
                .ok_or(DecodeError::Object),
        };
        let (object, old_object) = (object(request.object)?, object(request.old_object)?);
        // A collection that is deleted is asked about item by item, without names.
        let name = request.name.filter(|name| !name.is_empty()).or_else(|| {
            let named = object.as_ref().or(old_object.as_ref())?;
            Some(named.reference.name.clone())
        });
        Ok(AdmissionRequest {
            api_version: review.api_version,
            uid: request.uid,
            operation: match request.operation {
                Verb::Create => Operation::Create,
                Verb::Update => Operation::Update,
                Verb::Delete => Operation::Delete,
                Verb::Connect => Operation::Connect,
                Verb::Other => Operation::Other,
            },
            object,
            old_object,
            name: name.unwrap_or_default(),
            namespace,
            subresource: request.sub_resource.unwrap_or_default(),
            user: request.user_info.username,
            dry_run: request.dry_run.unwrap_or_default(),
        })
    }

    /// The request as the engine takes it.
    pub fn review(&self) -> Review<'_> {
        Review {
            operation: self.operation,
            object: self.object.as_ref(),
            old_object: self.old_object.as_ref(),
            subresource: &self.subresource,
            user: &self.user,
            dry_run: self.dry_run,
        }
    }
}

/// Whether anything in a body nests deeper than an object may, with the review around it. What is not
/// looked at later must not be a way to make the reader work.
fn is_too_deep(body: &[u8]) -> bool {
    const AROUND: usize = 2;
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH + AROUND {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The object with the namespace of its request, where it names none itself. A Namespace is asked
/// about in the namespace that it is, and has none; what is connected to has no metadata.
fn in_namespace(mut node: Node, namespace: &str) -> Node {
    let is_namespace = node.get("kind").and_then(Node::as_str) == Some("Namespace")
        && node.get("apiVersion").and_then(Node::as_str) == Some("v1");
    if namespace.is_empty() || is_namespace {
        return node;
    }
    if let Value::Object(object) = &mut node.value
        && let Some(Value::Object(metadata)) = object.get_mut("metadata").map(|m| &mut m.value)
        && metadata.get("namespace").is_none()
    {
        metadata.insert(Entry {
            key: Str::const_new("namespace"),
            key_mark: Mark::NONE,
            node: Node::unmarked(Value::String(Str::new(namespace))),
        });
    }
    node
}
