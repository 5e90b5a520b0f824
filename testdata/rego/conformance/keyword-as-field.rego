# input: {"in":{"with":1},"contains":2,"if":3,"not":4}
# opa: [1,2,3,4]
package t

result := [input.in.with, input.contains, input["if"], input.not]
