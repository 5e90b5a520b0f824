# input: {}
# opa: true
package t

result if not count([x | some x in input.volumes]) > 0
