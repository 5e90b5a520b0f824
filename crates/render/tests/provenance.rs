//! Where a person would edit what came out of a kustomization.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use stagegate_core::{Mark, Object, Pointer};
use stagegate_render::{ExternalKustomize, Kustomize, LoadRestrictions, Renderer, Tree};

/// A shop with a base, a component and two overlays.
const FILES: &[(&str, &str)] = &[
    (
        "base/kustomization.yaml",
        "resources: [api.yaml]\n\
         configMapGenerator:\n\
         \x20 - name: settings\n\
         \x20   literals: [LEVEL=info, SIZE=3]\n\
         \x20   envs: [shop.env]\n\
         \x20   files: [motd.txt]\n",
    ),
    ("base/shop.env", "# defaults\nCURRENCY=EUR\n"),
    ("base/motd.txt", "hello\n"),
    (
        "base/api.yaml",
        "apiVersion: apps/v1\n\
         kind: Deployment\n\
         metadata:\n\
         \x20 name: api\n\
         \x20 namespace: none\n\
         spec:\n\
         \x20 replicas: 1\n\
         \x20 selector: {matchLabels: {app: api}}\n\
         \x20 template:\n\
         \x20   metadata: {labels: {app: api}}\n\
         \x20   spec:\n\
         \x20     containers:\n\
         \x20       - name: api\n\
         \x20         image: registry.example.com/api:1.0\n\
         \x20         args: [--verbose]\n\
         \x20         envFrom: [{configMapRef: {name: settings}}]\n\
         \x20         resources:\n\
         \x20           limits:\n\
         \x20             memory: 64Mi\n\
         \x20             cpu: 100m\n",
    ),
    (
        "component/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\n\
         kind: Component\n\
         patches:\n\
         \x20 - target: {kind: Deployment}\n\
         \x20   patch: |-\n\
         \x20     - op: replace\n\
         \x20       path: /spec/template/spec/containers/0/args\n\
         \x20       value: [--quiet]\n\
         \x20     - op: remove\n\
         \x20       path: /spec/template/spec/containers/0/resources/limits/cpu\n",
    ),
    (
        "prod/kustomization.yaml",
        "resources: [../base]\n\
         components: [../component]\n\
         namePrefix: prod-\n\
         namespace: shop\n\
         images:\n\
         \x20 - {name: registry.example.com/api, newTag: '2.0'}\n\
         replicas:\n\
         \x20 - {name: api, count: 3}\n\
         labels:\n\
         \x20 - pairs: {team: shop}\n\
         commonAnnotations:\n\
         \x20 owner: shop\n\
         configMapGenerator:\n\
         \x20 - name: settings\n\
         \x20   behavior: merge\n\
         \x20   literals: [SIZE=9]\n\
         patches:\n\
         \x20 - path: memory.yaml\n\
         replacements:\n\
         \x20 - source: {kind: ConfigMap, name: settings, fieldPath: data.CURRENCY}\n\
         \x20   targets:\n\
         \x20     - select: {kind: Deployment}\n\
         \x20       fieldPaths: [metadata.annotations.currency]\n\
         \x20       options: {create: true}\n",
    ),
    (
        "prod/memory.yaml",
        "apiVersion: apps/v1\n\
         kind: Deployment\n\
         metadata: {name: api, namespace: none}\n\
         spec:\n\
         \x20 template:\n\
         \x20   spec:\n\
         \x20     containers:\n\
         \x20       - name: sidecar\n\
         \x20         image: registry.example.com/sidecar:1\n\
         \x20       - name: api\n\
         \x20         resources: {limits: {memory: null}}\n",
    ),
    ("dev/kustomization.yaml", "resources: [../base]\n"),
];

struct Shop {
    _folder: tempfile::TempDir,
    tree: Tree,
}

impl Shop {
    fn new(files: &[(&str, &str)]) -> Shop {
        let folder = support::folder_of(files.iter().copied());
        let tree = Tree::new(folder.path()).unwrap();
        Shop {
            _folder: folder,
            tree,
        }
    }

    fn render(&self, roots: &[&str]) -> Vec<Vec<Object>> {
        let renderer = Kustomize::new(ExternalKustomize::forbidden(), LoadRestrictions::default());
        let render = |root: &&str| {
            let rendering = renderer.render(root, &self.tree);
            assert!(rendering.failures.is_empty(), "{:?}", rendering.failures);
            rendering.objects
        };
        roots.iter().map(render).collect()
    }

    fn place(&self, mark: Mark) -> String {
        let at = self.tree.sources().locate(mark).unwrap();
        format!("{}:{}:{}", at.path, at.line, at.column)
    }

    /// The place of a value.
    fn at(&self, object: &Object, pointer: &str) -> String {
        let pointer = Pointer::parse(pointer).unwrap();
        let node = object.node.at(&pointer);
        self.place(
            node.unwrap_or_else(|| panic!("{pointer} in {}", object.reference))
                .mark,
        )
    }
}

fn of_kind<'o>(objects: &'o [Object], kind: &str) -> &'o Object {
    objects.iter().find(|o| o.reference.kind == kind).unwrap()
}

#[test]
fn every_value_leads_to_the_line_that_set_it() {
    let shop = Shop::new(FILES);
    let [objects] = shop.render(&["prod"]).try_into().unwrap();
    let api = of_kind(&objects, "Deployment");
    assert_eq!(api.reference.to_string(), "Deployment shop/prod-api");
    let container = "/spec/template/spec/containers/1";
    for (pointer, place) in [
        ("/metadata/name", "base/api.yaml:4:9"),
        ("/metadata/namespace", "prod/kustomization.yaml:4:12"),
        ("/metadata/labels/team", "prod/kustomization.yaml:10:19"),
        (
            "/metadata/annotations/owner",
            "prod/kustomization.yaml:12:10",
        ),
        ("/metadata/annotations/currency", "base/shop.env:2:10"),
        ("/spec/replicas", "prod/kustomization.yaml:8:24"),
        (
            "/spec/template/spec/containers/0/image",
            "prod/memory.yaml:9:18",
        ),
        (&format!("{container}/name"), "base/api.yaml:13:17"),
        (
            &format!("{container}/image"),
            "prod/kustomization.yaml:6:46",
        ),
        (
            &format!("{container}/args/0"),
            "component/kustomization.yaml:8:17",
        ),
        (
            &format!("{container}/envFrom/0/configMapRef/name"),
            "base/api.yaml:16:43",
        ),
        (
            &format!("{container}/resources/limits"),
            "base/api.yaml:19:15",
        ),
    ] {
        assert_eq!(shop.at(api, pointer), place, "{pointer}");
    }
    let removed: Vec<String> = api
        .removed
        .iter()
        .map(|(pointer, by)| format!("{pointer} {}", shop.place(*by)))
        .collect();
    assert_eq!(
        removed,
        [
            format!("{container}/resources/limits/cpu component/kustomization.yaml:10:15"),
            format!("{container}/resources/limits/memory prod/memory.yaml:11:32"),
        ]
    );
    let overridden: Vec<String> = api
        .overridden
        .iter()
        .map(|(by, old)| format!("{} over {}", shop.place(*by), shop.place(*old)))
        .collect();
    assert!(
        overridden.contains(&"prod/kustomization.yaml:6:46 over base/api.yaml:14:18".to_owned()),
        "{overridden:?}"
    );
    let settings = of_kind(&objects, "ConfigMap");
    for (pointer, place) in [
        ("/data/LEVEL", "base/kustomization.yaml:4:22"),
        ("/data/SIZE", "prod/kustomization.yaml:16:21"),
        ("/data/CURRENCY", "base/shop.env:2:10"),
        ("/data/motd.txt", "base/kustomization.yaml:6:13"),
    ] {
        assert_eq!(shop.at(settings, pointer), place, "{pointer}");
    }
    // The hash is no part of what the object is called in its file.
    assert_eq!(settings.source().name, "settings");
    assert!(settings.reference.name.starts_with("prod-settings-"));
}

#[test]
fn a_chain_leads_from_the_root_to_the_file() {
    let shop = Shop::new(FILES);
    let [objects] = shop.render(&["prod"]).try_into().unwrap();
    let chain = |kind| -> Vec<String> {
        let files = &of_kind(&objects, kind).origin.chain;
        files
            .iter()
            .map(|f| shop.tree.sources().path(*f).unwrap())
            .collect()
    };
    assert_eq!(
        chain("Deployment"),
        [
            "prod/kustomization.yaml",
            "base/kustomization.yaml",
            "base/api.yaml"
        ]
    );
    assert_eq!(
        chain("ConfigMap"),
        ["prod/kustomization.yaml", "base/kustomization.yaml"]
    );
}

/// What a base says is said once, whoever builds on it.
#[test]
fn overlays_share_the_places_of_their_base() {
    let shop = Shop::new(FILES);
    let [prod, dev] = shop.render(&["prod", "dev"]).try_into().unwrap();
    let mark = |objects: &[Object]| {
        let pointer = Pointer::parse("/spec/template/metadata/labels/app").unwrap();
        of_kind(objects, "Deployment")
            .node
            .at(&pointer)
            .unwrap()
            .mark
    };
    assert_eq!(mark(&prod), mark(&dev));
    let read = |path: &str| {
        let sources = shop.tree.sources();
        let all = (0..).map_while(|i| sources.path(stagegate_core::FileId(i)));
        all.filter(|p| p == path).count()
    };
    assert_eq!(read("base/api.yaml"), 1, "a base is read once");
}

/// A remote resource is left out, and the rest is there to be judged; what may be meant for it is
/// not held against the overlay.
#[test]
fn what_is_local_beside_something_remote_is_rendered() {
    let shop = Shop::new(&[
        (
            "kustomization.yaml",
            "resources: [https://example.com/remote.yaml, a.yaml]\n\
             patches: [{patch: '{apiVersion: v1, kind: Secret, metadata: {name: remote}}'}]\n\
             replicas: [{name: remote, count: 2}]\n",
        ),
        (
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        ),
    ]);
    let renderer = Kustomize::new(ExternalKustomize::forbidden(), LoadRestrictions::default());
    let rendering = renderer.render(".", &shop.tree);
    assert_eq!(rendering.objects.len(), 1);
    assert_eq!(rendering.failures.len(), 1);
    assert!(rendering.failures[0].external);
    assert_eq!(
        shop.place(rendering.failures[0].mark),
        "kustomization.yaml:1:13"
    );
}
