# input: {}
# opa: []
package t

result contains {"msg": input.missing}
