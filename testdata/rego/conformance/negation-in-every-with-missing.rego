# input: {"containers":[{"name":"a"}]}
# opa: undefined
package t

result if every c in input.containers {
	not endswith(c.image, ":latest")
}
