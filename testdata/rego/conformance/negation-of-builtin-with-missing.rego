# input: {"containers":[{"name":"a"}]}
# opa: []
package t

result := [c.name | some c in input.containers; not startswith(c.image, "ghcr.io/")]
