# input: {}
# opa: true
package t

result if not input.spec.template.spec.hostNetwork
