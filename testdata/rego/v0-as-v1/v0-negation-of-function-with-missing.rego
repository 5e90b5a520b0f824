package t

allowed(image) if {
	startswith(image, "ghcr.io/")
}

result contains c.name if {
	c := input.containers[_]
	not allowed(c.image)
}
