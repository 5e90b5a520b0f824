//! A request to its answer, by the one engine.

use stagegate_core::{
    Door, Enforcement, Engine, Inventory, Limits, Node, Object, Settings, Stage, Subject, Verdict,
    World,
};

use crate::{AdmissionRequest, RequestStage};

/// What became of a request.
#[derive(Debug)]
pub struct Judgement {
    /// The stage in which it was judged.
    pub stage: RequestStage,
    /// The verdict.
    pub verdict: Verdict,
    /// Why nothing that it holds can deny it, if there is a reason.
    pub bounded_by: Option<Bound>,
}

/// Why a request is not denied, whatever it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A controller makes or changes what an object asks for that was judged itself.
    Controller,
    /// Who asks restores what was lost.
    RestoreWriter,
}

/// Judges a request. `stage` is given where the whole cluster is one stage.
///
/// Without an inventory, policies that compare objects do not run.
pub fn judge(
    engine: &Engine,
    request: &AdmissionRequest,
    stage: Option<&Stage>,
    inventory: Option<&Inventory>,
    limits: &Limits<'_>,
) -> Judgement {
    let settings = engine.settings();
    let stage = stage.map_or_else(
        || RequestStage::of(request, &settings.stages, inventory),
        |stage| RequestStage {
            stage: stage.clone(),
            is_named: true,
        },
    );
    let bounded_by = bound(request, settings);
    let at_most = bounded_by.map(|bound| match bound {
        Bound::Controller => Enforcement::Audit,
        Bound::RestoreWriter => Enforcement::Warn,
    });
    let limits = Limits {
        at_most: [at_most, limits.at_most].into_iter().flatten().min(),
        ..*limits
    };
    let world = World {
        stage: &stage.stage,
        inventory,
        door: Door::Admission,
        files: None,
    };
    let subject = Subject::Review(request.review());
    let verdict = engine.review(&subject, &world, &limits);
    Judgement {
        stage,
        verdict,
        bounded_by,
    }
}

fn bound(request: &AdmissionRequest, settings: &Settings) -> Option<Bound> {
    let object = request.object.as_ref().or(request.old_object.as_ref());
    if object.is_some_and(|object| is_controllers_work(object, &request.user, settings)) {
        Some(Bound::Controller)
    } else if settings.restore_writers.contains(&request.user) {
        Some(Bound::RestoreWriter)
    } else {
        None
    }
}

/// The controllers of Kubernetes by the kind whose objects they act for, with their accounts.
/// Source: `cmd/kube-controller-manager` of Kubernetes.
const CONTROLLERS: &[(&str, &str, &str)] = &[
    ("", "ReplicationController", "replication-controller"),
    ("apps", "DaemonSet", "daemon-set-controller"),
    ("apps", "Deployment", "deployment-controller"),
    ("apps", "ReplicaSet", "replicaset-controller"),
    ("apps", "StatefulSet", "statefulset-controller"),
    ("batch", "CronJob", "cronjob-controller"),
    ("batch", "Job", "job-controller"),
];

/// Whether a ReplicaSet, Pod or Job is what its owner asks for: its controller owner is of a judged
/// kind, and who asks is exactly the controller of that kind. Anybody can write owner references,
/// so they count for nobody else.
fn is_controllers_work(object: &Object, user: &str, settings: &Settings) -> bool {
    let (group, kind) = (object.reference.group(), object.reference.kind.as_str());
    if !matches!(
        (group, kind),
        ("", "Pod") | ("apps", "ReplicaSet") | ("batch", "Job")
    ) {
        return false;
    }
    let owners = object.node.path(&["metadata", "ownerReferences"]);
    let controller = owners
        .map_or(&[][..], Node::items)
        .iter()
        .find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true));
    let Some(owner) = controller else {
        return false;
    };
    let text = |key: &str| owner.get(key).and_then(Node::as_str).unwrap_or_default();
    let owner_kind = (stagegate_core::group_of(text("apiVersion")), text("kind"));
    if owner_kind == ("argoproj.io", "Rollout") {
        return settings.rollouts_controller.as_deref() == Some(user);
    }
    let account = CONTROLLERS
        .iter()
        .find(|(group, kind, _)| (*group, *kind) == owner_kind)
        .map(|(_, _, account)| *account);
    account.is_some_and(|account| {
        user == "system:kube-controller-manager"
            || user.strip_prefix("system:serviceaccount:kube-system:") == Some(account)
    })
}
