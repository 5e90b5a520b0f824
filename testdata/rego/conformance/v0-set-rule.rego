# input: {"items":["x"]}
# opa: ["always","x"]
package t

result[msg] {
	msg := input.items[_]
}

result["always"]
