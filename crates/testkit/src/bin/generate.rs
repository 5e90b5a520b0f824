//! Generates a repository for measurements: `generate FOLDER OBJECTS`.
//!
//! Plain manifests of about 3 KB, one a file, in three stages; every tenth workload lacks a limit,
//! so that finding, locating and merging are measured too. The same numbers give the same files.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

const STAGES: [&str; 3] = ["dev", "staging", "prod"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, objects] = arguments.as_slice() else {
        return ExitCode::from(2);
    };
    let Ok(objects) = objects.parse::<usize>() else {
        return ExitCode::from(2);
    };
    match generate(Path::new(folder), objects) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn generate(folder: &Path, objects: usize) -> io::Result<()> {
    for number in 0..objects {
        let stage = STAGES[number % STAGES.len()];
        let app = number / STAGES.len();
        let folder = folder.join(format!("environments/{stage}/app-{:04}", app / 8));
        if app.is_multiple_of(8) {
            fs::create_dir_all(&folder)?;
        }
        let text = match app % 8 {
            0..4 => workload(app, stage, "Deployment"),
            4 => workload(app, stage, "StatefulSet"),
            5 => config_map(app, stage),
            6 => disruption_budget(app, stage),
            _ => network_policies(app, stage),
        };
        fs::write(folder.join(format!("{app:06}.yaml")), text)?;
    }
    Ok(())
}

fn head(api_version: &str, kind: &str, app: usize, stage: &str) -> String {
    format!(
        "# Part {app} of the shop; see the runbook before changing it.
apiVersion: {api_version}
kind: {kind}
metadata:
  name: app-{app}
  namespace: shop-{stage}
  labels:
    app.kubernetes.io/name: app-{app}
    app.kubernetes.io/part-of: shop
    app.kubernetes.io/component: backend
    environment: {stage}
"
    )
}

fn workload(app: usize, stage: &str, kind: &str) -> String {
    let mut text = head("apps/v1", kind, app, stage);
    let _ = write!(
        text,
        "spec:
  replicas: 3
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      app.kubernetes.io/name: app-{app}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: app-{app}
        app.kubernetes.io/part-of: shop
      annotations:
        prometheus.io/scrape: \"true\"
        prometheus.io/port: \"9090\"
    spec:
      serviceAccountName: app-{app}
      priorityClassName: shop
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
"
    );
    for container in ["server", "proxy"] {
        let memory = if app.is_multiple_of(10) && container == "proxy" {
            ""
        } else {
            "\n              memory: 256Mi"
        };
        let _ = write!(
            text,
            "        - name: {container}
          image: registry.example.com/shop/{container}:1.{app}.0
          imagePullPolicy: IfNotPresent
          args:
            - --listen=0.0.0.0:8080
            - --log-level=info
            - --upstream=http://app-{app}.shop-{stage}.svc.cluster.local:8080
          ports:
            - name: http
              containerPort: 8080
              protocol: TCP
          env:
            - name: STAGE
              value: {stage}
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            - name: DATABASE_PASSWORD
              valueFrom:
                secretKeyRef:
                  name: app-{app}-database
                  key: password
          resources:
            requests:
              cpu: 100m
              memory: 128Mi
            limits:
              cpu: 500m{memory}
          livenessProbe:
            httpGet:
              path: /healthz
              port: http
            periodSeconds: 10
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop:
                - ALL
          volumeMounts:
            - name: config
              mountPath: /etc/app
              readOnly: true
"
        );
    }
    let _ = write!(
        text,
        "      volumes:
        - name: config
          configMap:
            name: app-{app}-config
"
    );
    text
}

fn config_map(app: usize, stage: &str) -> String {
    let mut text = head("v1", "ConfigMap", app, stage);
    text.push_str("data:\n  application.properties: |\n");
    for line in 0..60 {
        let _ = writeln!(
            text,
            "    shop.module-{line}.endpoint=http://module-{line}:80{line:02}"
        );
    }
    text
}

/// A selector of the five workloads that stand in the same folder.
fn workloads_of(app: usize, indent: &str) -> String {
    let first = app - app % 8;
    let mut text = format!(
        "\n{indent}matchExpressions:\n{indent}  - key: app.kubernetes.io/name\n{indent}    operator: In\n{indent}    values:"
    );
    for workload in first..first + 5 {
        let _ = write!(text, "\n{indent}      - app-{workload}");
    }
    text
}

fn disruption_budget(app: usize, stage: &str) -> String {
    let mut text = head("policy/v1", "PodDisruptionBudget", app, stage);
    let selector = workloads_of(app, "    ");
    let _ = writeln!(text, "spec:\n  maxUnavailable: 1\n  selector:{selector}");
    text
}

fn network_policies(app: usize, stage: &str) -> String {
    let mut text = head("networking.k8s.io/v1", "NetworkPolicy", app, stage);
    let _ = write!(
        text,
        "spec:
  podSelector:{}
  policyTypes:
    - Ingress
  ingress:
",
        workloads_of(app, "    ")
    );
    for peer in 0..10 {
        let _ = write!(
            text,
            "    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: shop-{stage}
          podSelector:
            matchLabels:
              app.kubernetes.io/name: app-{peer}
      ports:
        - protocol: TCP
          port: 80{peer:02}
"
        );
    }
    text
}
