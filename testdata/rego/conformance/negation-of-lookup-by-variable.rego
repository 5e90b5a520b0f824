# input: {"kind":"b"}
# opa: true
package t

known := {"a"}

result if {
	kind := input.kind
	not known[kind]
}
