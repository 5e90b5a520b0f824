# opa: [{"a":1}]
package t

result := [y | y := yaml.unmarshal("a: 1\n---\nb: 2\n")]
