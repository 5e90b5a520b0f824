# input: {}
# opa: undefined
package t

result if not input.replicas > 1
