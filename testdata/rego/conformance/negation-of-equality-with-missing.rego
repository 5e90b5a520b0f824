# input: {}
# opa: true
package t

result if not input.missing == 1
