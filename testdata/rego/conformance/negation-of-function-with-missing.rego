# input: {"containers":[{"name":"a"}]}
# opa: []
package t

allowed(image) if startswith(image, "ghcr.io/")

result := [c.name | some c in input.containers; not allowed(c.image)]
