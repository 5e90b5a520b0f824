# input: {"containers":[{"name":"a"}]}
# opa: []
package t

allowed(image) {
	startswith(image, "ghcr.io/")
}

result[c.name] {
	c := input.containers[_]
	not allowed(c.image)
}
