# input: {"c":[1]}
# opa: error: rego_compile_error: declared var x unused
package t

result if every x in input.c {
	true
}
