# input: {"containers":[{"name":"a"}]}
# opa: []
package t

result := [c.name |
	some c in input.containers
	image := c.image
	not startswith(image, "ghcr.io/")
]
