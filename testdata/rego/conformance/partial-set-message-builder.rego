# input: {"kind":"Deployment","spec":{"replicas":1}}
# opa: ["Deployment has 1 replicas"]
package t

result contains msg if {
	input.kind == "Deployment"
	input.spec.replicas < 2
	msg := sprintf("%s has %d replicas", [input.kind, input.spec.replicas])
}
