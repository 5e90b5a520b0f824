//! Generates overlays for measurements: `generate_overlays FOLDER OVERLAYS [PATCHES]`.
//!
//! Bases of eight objects and a generated ConfigMap, each used by four stages; an overlay has a
//! namespace, a prefix, labels, an image and PATCHES patches. The same numbers give the same files.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

const STAGES: [&str; 4] = ["dev", "qa", "staging", "prod"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |i: usize| arguments.get(i).map(|text| text.parse::<usize>());
    let (Some(folder), Some(Ok(overlays)), Ok(patches)) =
        (arguments.first(), number(1), number(2).transpose())
    else {
        return ExitCode::from(2);
    };
    match generate(Path::new(folder), overlays, patches.unwrap_or(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn generate(folder: &Path, overlays: usize, patches: usize) -> io::Result<()> {
    for number in 0..overlays {
        let app = number / STAGES.len();
        let stage = STAGES[number % STAGES.len()];
        if number.is_multiple_of(STAGES.len()) {
            base(&folder.join(format!("apps/app-{app:04}/base")), app)?;
        }
        let overlay = folder.join(format!("apps/app-{app:04}/overlays/{stage}"));
        fs::create_dir_all(&overlay)?;
        let mut text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../base
namespace: shop-{stage}
namePrefix: {stage}-
labels:
  - pairs: {{stage: {stage}}}
    includeTemplates: true
images:
  - name: registry.example.com/web-{app}
    newTag: 1.{app}.{}
patches:
",
            stage.len()
        );
        for patch in 0..patches {
            let _ = writeln!(text, "  - path: patch-{patch}.yaml");
            let patch_text = format!(
                "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{app}
spec:
  template:
    spec:
      containers:
        - name: web
          env:
            - name: STAGE_{patch}
              value: {stage}
          resources:
            limits:
              memory: {}Mi
",
                256 + patch
            );
            fs::write(overlay.join(format!("patch-{patch}.yaml")), patch_text)?;
        }
        fs::write(overlay.join("kustomization.yaml"), text)?;
    }
    Ok(())
}

fn base(folder: &Path, app: usize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("kustomization.yaml"),
        format!(
            "resources: [web.yaml, worker.yaml, service.yaml, account.yaml, policies.yaml, budget.yaml]
configMapGenerator:
  - name: web-{app}
    literals: [LEVEL=info, REGION=eu]
"
        ),
    )?;
    for (name, part) in [("web", "Deployment"), ("worker", "StatefulSet")] {
        let service = if part == "StatefulSet" {
            format!("  serviceName: web-{app}\n")
        } else {
            String::new()
        };
        let workload = format!(
            "apiVersion: apps/v1
kind: {part}
metadata:
  name: {name}-{app}
  labels: {{app: {name}-{app}}}
spec:
  replicas: 2
{service}  selector:
    matchLabels: {{app: {name}-{app}}}
  template:
    metadata:
      labels: {{app: {name}-{app}}}
    spec:
      serviceAccountName: web-{app}
      containers:
        - name: {name}
          image: registry.example.com/{name}-{app}:1.0.0
          envFrom:
            - configMapRef: {{name: web-{app}}}
          ports:
            - {{name: http, containerPort: 8080, protocol: TCP}}
          resources:
            requests: {{cpu: 100m, memory: 128Mi}}
            limits: {{cpu: 500m, memory: 256Mi}}
          readinessProbe:
            httpGet: {{path: /ready, port: http}}
"
        );
        fs::write(folder.join(format!("{name}.yaml")), workload)?;
    }
    let rest = [
        (
            "service",
            format!(
                "apiVersion: v1
kind: Service
metadata: {{name: web-{app}}}
spec:
  selector: {{app: web-{app}}}
  ports:
    - {{name: http, port: 80, targetPort: http, protocol: TCP}}
"
            ),
        ),
        (
            "account",
            format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: web-{app}}}\n"),
        ),
        (
            "policies",
            format!(
                "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web-{app}}}
spec:
  podSelector: {{matchLabels: {{app: web-{app}}}}}
  policyTypes: [Ingress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: worker-{app}}}
spec:
  podSelector: {{matchLabels: {{app: worker-{app}}}}}
  policyTypes: [Ingress]
"
            ),
        ),
        (
            "budget",
            format!(
                "apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web-{app}}}
spec:
  minAvailable: 1
  selector: {{matchLabels: {{app: web-{app}}}}}
"
            ),
        ),
    ];
    for (name, text) in rest {
        fs::write(folder.join(format!("{name}.yaml")), text)?;
    }
    Ok(())
}
