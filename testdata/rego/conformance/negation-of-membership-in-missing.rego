# input: {}
# opa: undefined
package t

result if not "ALL" in input.drop
