# input: {"x":"1.2"}
# opa: []
package t

result := [y | y := semver.compare(input.x, "1.2.0")]
