# input: {}
# opa: undefined
package t

result if not input.n + 1 == 2
