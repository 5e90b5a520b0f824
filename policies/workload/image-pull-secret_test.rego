package stagegate.image_pull_secret_test

import data.stagegate.image_pull_secret

review(spec) := {"kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "shop", "object": {"spec": spec}}

found(spec, index) := violations if {
	violations := image_pull_secret.violation with input as {
		"review": review(spec),
		"parameters": {"registries": ["ghcr.io", "*.azurecr.io"]},
	}
		with data.index as index
}

messages(spec, index) := {violation.msg | some violation in found(spec, index)}

private(more) := object.union({"containers": [{"name": "c", "image": "ghcr.io/acme/api:1"}]}, more)

naming(names) := private({"imagePullSecrets": [{"name": name} | some name in names]})

docker := "kubernetes.io/dockerconfigjson"

secret(name, fields) := {"by_name": {"Secret": {"shop": {name: [object.union({"apiVersion": "v1"}, fields)]}}}}

sealed(name, spec) := {"by_name": {"SealedSecret": {"shop": {name: [{"apiVersion": "bitnami.com/v1alpha1", "spec": spec}]}}}}

external(kind, namespace, spec) := {"by_kind": {kind: {namespace: [{
	"apiVersion": "external-secrets.io/v1",
	"metadata": {"name": "own"},
	"spec": spec,
}]}}}

account(name, secrets) := {"by_name": {"ServiceAccount": {"shop": {name: [{"apiVersion": "v1", "imagePullSecrets": secrets}]}}}}

test_secrets_of_a_fitting_type if {
	every fields in [
		{"type": docker, "data": {"x": "y"}}, {"type": "kubernetes.io/dockercfg"}, {}, {"type": null}, {"type": "Opaque"},
	] {
		count(found(naming(["a"]), secret("a", fields))) == 0
	}
}

test_secrets_of_another_type if {
	every fields in [{"data": {"x": "y"}}, {"type": "Opaque", "stringData": {"x": "y"}}] {
		messages(naming(["a"]), secret("a", fields)) == {`images of ghcr.io need a pull secret, but "a" is of type Opaque`}
	}
	messages(naming(["a"]), secret("a", {"type": "kubernetes.io/tls"})) == {`images of ghcr.io need a pull secret, but "a" is of type kubernetes.io/tls`}
}

test_sealed_secrets if {
	every spec in [{}, {"template": {"type": docker}}, {"template": {"metadata": {"name": "other"}}}] {
		count(found(naming(["a"]), sealed("a", spec))) == 0
	}
	messages(naming(["a"]), sealed("a", {"template": {"type": "Opaque"}})) == {`images of ghcr.io need a pull secret, but "a" is of type Opaque`}
}

test_external_secrets if {
	every name, spec in {
		"own": {},
		"a": {"target": {"name": "a", "template": {"type": docker}}},
		"b": {"target": {"name": "b", "creationPolicy": "Orphan"}},
	} {
		count(found(naming([name]), external("ExternalSecret", "shop", spec))) == 0
	}
	every name, spec in {
		"own": {"target": {"name": "a"}},
		"a": {"target": {"name": "a", "creationPolicy": "Merge"}},
		"b": {"target": {"name": "b", "template": {"type": "Opaque"}}},
	} {
		count(found(naming([name]), external("ExternalSecret", "shop", spec))) == 1
	}
}

test_cluster_external_secrets if {
	every name, spec in {
		"own": {"externalSecretSpec": {}},
		"a": {"externalSecretName": "a", "externalSecretSpec": {}},
		"b": {"externalSecretName": "a", "externalSecretSpec": {"target": {"name": "b"}}},
	} {
		count(found(naming([name]), external("ClusterExternalSecret", "", spec))) == 0
	}
	count(found(naming(["a"]), external("ClusterExternalSecret", "", {"externalSecretSpec": {}}))) == 1
}

test_missing if {
	found(naming(["a"]), {}) == {{
		"msg": `images of ghcr.io need a pull secret, but "a" does not exist`,
		"pointer": "/spec/imagePullSecrets",
		"missing": true,
		"related": [{"pointer": "/spec/containers/0/image", "message": "image ghcr.io/acme/api"}],
	}}
	messages(naming(["a", "b"]), secret("a", {"type": "x"})) == {`images of ghcr.io need a pull secret, but none of "a", "b" can be used`}
	count(found(naming(["a", "b"]), secret("b", {"type": docker}))) == 0
}

test_the_service_account_counts if {
	index := object.union(account("default", [{"name": "a"}]), {})
	with_secret := json.patch(index, [{"op": "add", "path": "/by_name/Secret", "value": secret("a", {}).by_name.Secret}])
	count(found(private({}), with_secret)) == 0
	{[violation.msg, violation.pointer] | some violation in found(private({}), index)} == {[
		`images of ghcr.io need a pull secret, but "a" does not exist`,
		"/spec/serviceAccountName",
	]}
	every field in ["serviceAccountName", "serviceAccount"] {
		count(found(private({field: "bot"}), with_secret)) == 1
		count(found(private({field: ""}), with_secret)) == 0
	}
	count(found(naming(["b"]), with_secret)) == 1
}

test_none if {
	found(private({}), account("default", [])) == {{
		"msg": `images of ghcr.io need a pull secret, but neither the pod nor its ServiceAccount "default" names one`,
		"pointer": "/spec/imagePullSecrets",
		"related": [{"pointer": "/spec/containers/0/image", "message": "image ghcr.io/acme/api"}],
	}}
	{violation.missing | some violation in found(private({"serviceAccountName": "bot"}), {})} == {true}
}

test_registries_are_named_once if {
	spec := {
		"containers": [{"image": "ghcr.io/a"}, {"image": "x.azurecr.io/a"}, {"image": "ghcr.io/b"}, {"image": "nginx"}],
		"volumes": [{"image": {"reference": "ghcr.io/c"}}],
	}
	messages(spec, {}) == {`images of ghcr.io, x.azurecr.io need a pull secret, but neither the pod nor a ServiceAccount "default" names one`}
	{count(violation.related) | some violation in found(spec, {})} == {4}
}

test_public_images_pass if count(found({"containers": [{"image": "nginx"}, {"image": "ghcr.io.example/a"}]}, {})) == 0

test_says_that_no_registry_is_listed if {
	{violation.msg | some violation in image_pull_secret.violation} == {`nothing says which registries ask for a login, because the parameter "registries" is empty`} with input as {"review": review({}), "parameters": {"registries": []}}
}

test_garbage_is_no_error if {
	every spec in [null, 5, "x", {"containers": 5, "volumes": "x"}, {"containers": [5, {"image": 5}]}] {
		count(found(spec, {})) == 0
	}
	every more in [{"imagePullSecrets": "x"}, {"imagePullSecrets": [5]}, {"imagePullSecrets": [{"name": 5}]}, {"serviceAccountName": 5}] {
		count(found(private(more), {})) == 1
	}
	index := {
		"by_name": {
			"Secret": {"shop": {"a": [{"apiVersion": "example.com/v1"}]}},
			"SealedSecret": {"shop": {"a": [{"apiVersion": "bitnami.com/v1alpha1", "spec": 5}]}},
			"ServiceAccount": {"shop": {"default": [{"apiVersion": "v1", "imagePullSecrets": 5}]}},
		},
		"by_kind": {
			"ExternalSecret": {"shop": [{"apiVersion": "external-secrets.io/v1", "metadata": {"name": "a"}, "spec": {"target": {"name": 5}}}]},
			"ClusterExternalSecret": {"": [{"apiVersion": "external-secrets.io/v1", "metadata": {"name": "c"}, "spec": "x"}]},
		},
	}
	count(found(naming(["b"]), index)) == 1
}
