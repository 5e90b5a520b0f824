# input: {}
# opa: undefined
package t

result if not count(input.volumes) > 0
