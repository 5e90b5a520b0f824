//! What holds for every kustomization.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;

use proptest::prelude::*;
use stagegate_core::Node;
use stagegate_render::{ExternalKustomize, Kustomize, LoadRestrictions, Renderer, Rendering, Tree};

/// Manifests to choose from: they name each other, and some have a namespace.
const MANIFESTS: [&str; 8] = [
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  template:\n    spec:\n      \
     serviceAccountName: api\n      containers:\n        - {name: api, image: 'example.com/api:1', \
     envFrom: [{configMapRef: {name: settings}}], ports: [{containerPort: 80}]}\n",
    "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: api}\n",
    "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop}\nspec: {selector: {app: api}}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain, annotations: {a: 1}}\ndata: {k: v}\n",
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: api}\nroleRef: \
     {apiGroup: rbac.authorization.k8s.io, kind: Role, name: api}\nsubjects: [{kind: ServiceAccount, name: api}]\n",
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: api}\nrules: \
     [{apiGroups: [''], resources: [configmaps], resourceNames: [plain], verbs: [get]}]\n",
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
    "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {parts: [{name: a}], none: null, left:}\n",
];

/// Lines of a kustomization to choose from.
const LINES: [&str; 14] = [
    "namePrefix: p-",
    "nameSuffix: -s",
    "namespace: other",
    "labels: [{pairs: {team: x}, includeSelectors: true}]",
    "commonAnnotations: {note: y}",
    "images: [{name: example.com/api, newTag: '2'}]",
    "replicas: [{name: api, count: 3}]",
    "configMapGenerator: [{name: settings, literals: [A=b]}]",
    "secretGenerator: [{name: token, literals: [A=b], options: {disableNameSuffixHash: true}}]",
    "patches: [{target: {kind: Deployment}, patch: '[{op: add, path: /metadata/labels, value: {l: m}}]'}]",
    "patches: [{target: {kind: .*Account|Widget}, patch: '{apiVersion: v1, kind: X, metadata: {name: x, labels: {q: r}}}'}]",
    "replacements: [{source: {kind: ConfigMap, name: plain, fieldPath: data.k}, targets: \
     [{select: {kind: ServiceAccount}, fieldPaths: [metadata.annotations.k], options: {create: true}}]}]",
    "vars: [{name: K, objref: {apiVersion: v1, kind: ConfigMap, name: plain}, fieldref: {fieldPath: data.k}}]",
    "components: [../component]",
];

#[derive(Clone, Debug)]
struct Case {
    manifests: Vec<usize>,
    base: Vec<usize>,
    overlay: Vec<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let some = |of: usize, most: usize| {
        proptest::sample::subsequence((0..of).collect::<Vec<_>>(), 0..=most)
    };
    (some(8, 8).prop_shuffle(), some(14, 4), some(14, 5)).prop_map(|(manifests, base, overlay)| {
        Case {
            manifests,
            base,
            overlay,
        }
    })
}

/// Of two lines for one field the first is taken.
fn lines(chosen: &[usize]) -> String {
    let mut fields: Vec<&str> = Vec::new();
    let mut text = String::new();
    for line in chosen.iter().map(|i| LINES[*i]) {
        let field = line.split(':').next().unwrap();
        if !fields.contains(&field) {
            fields.push(field);
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

struct Written {
    _folder: tempfile::TempDir,
    tree: Tree,
}

fn write(case: &Case) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let names: Vec<String> = case
        .manifests
        .iter()
        .map(|i| format!("m{i}.yaml"))
        .collect();
    for (name, i) in names.iter().zip(&case.manifests) {
        put(&format!("base/{name}"), MANIFESTS[*i]);
    }
    put(
        "base/kustomization.yaml",
        &format!("resources: [{}]\n{}", names.join(", "), lines(&case.base)),
    );
    put(
        "overlay/kustomization.yaml",
        &format!("resources: [../base]\n{}", lines(&case.overlay)),
    );
    put("empty/kustomization.yaml", "resources: [../overlay]\n");
    put(
        "component/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {c: d}\n",
    );
    let tree = Tree::new(folder.path()).unwrap();
    Written {
        _folder: folder,
        tree,
    }
}

fn renderer() -> Kustomize {
    Kustomize::new(ExternalKustomize::forbidden(), LoadRestrictions::default())
}

/// Objects, and what is wrong.
fn told(rendering: &Rendering) -> (Vec<Node>, Vec<String>) {
    let objects = rendering.objects.iter().map(|object| object.node.clone());
    let failures = rendering
        .failures
        .iter()
        .map(|f| format!("{}: {}", f.path, f.message));
    (objects.collect(), failures.collect())
}

proptest! {
    #[test]
    fn rendering_twice_is_identical(case in case()) {
        let written = write(&case);
        let shared = renderer();
        let first = told(&shared.render("overlay", &written.tree));
        prop_assert_eq!(&first, &told(&shared.render("overlay", &written.tree)));
        prop_assert_eq!(&first, &told(&renderer().render("overlay", &written.tree)));
        // A base that was built for one overlay is as good for the next.
        shared.render("base", &written.tree);
        prop_assert_eq!(&first, &told(&shared.render("overlay", &written.tree)));
    }

    #[test]
    fn the_order_of_files_does_not_matter(case in case()) {
        let mut turned = case.clone();
        turned.manifests.reverse();
        let (a, b) = (write(&case), write(&turned));
        let (mut first, mut second) =
            (told(&renderer().render("overlay", &a.tree)), told(&renderer().render("overlay", &b.tree)));
        if !first.1.is_empty() {
            // Which of several mistakes is told may differ, that there is one may not.
            first.1.truncate(0);
            prop_assert!(!second.1.is_empty());
            second.1.truncate(0);
        }
        prop_assert_eq!(first, second);
    }

    #[test]
    fn an_empty_overlay_changes_nothing(case in case()) {
        let written = write(&case);
        let shared = renderer();
        let direct = told(&shared.render("overlay", &written.tree));
        let through = told(&shared.render("empty", &written.tree));
        prop_assert_eq!(direct, through);
    }

    /// Whatever a kustomization holds: an answer, and no panic.
    #[test]
    fn any_text_is_answered(text in "[a-zA-Z:{}\\[\\]'\"\n -]{0,120}", line in 0..14usize) {
        let written = write(&Case { manifests: vec![0, 3], base: vec![], overlay: vec![line] });
        let path = written.tree.absolute("overlay/kustomization.yaml");
        let old = fs::read_to_string(&path).unwrap();
        fs::write(&path, old + &text).unwrap();
        renderer().render("overlay", &written.tree);
    }
}
