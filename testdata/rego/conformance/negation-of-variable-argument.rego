# input: {"c":[{"name":"a"}]}
# opa: ["a"]
package t

ok(c) if startswith(c.image, "ghcr.io/")

result := [c.name | some c in input.c; not ok(c)]
