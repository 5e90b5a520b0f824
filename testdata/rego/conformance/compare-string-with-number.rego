# input: {"x":"10"}
# opa: [true,false,true]
package t

result := [input.x > 5, input.x < 5, input.x >= 50]
