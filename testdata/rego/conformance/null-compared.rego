# input: {"x":null}
# opa: [true,true,false,true]
package t

result := [input.x == null, input.x < 0, input.x == false, is_null(input.x)]
