# input: {}
# opa: false
package t

default result := false

result if input.enabled
